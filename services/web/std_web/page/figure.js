// The figure: the picture with what it shows beside it, as one puts it into a logbook: colour bar, limits, image, time.
import { FAULT_COLOURS, css, scaling, table } from "./colours.js";
import { number } from "./words.js";

const MARGIN = 14;
const BAR = { gap: 12, width: 18, labels: 76 };
const TEXT = { size: 13, line: 18 };
const N_LABELS = 6;

/**
 * Return a canvas with a picture, the bar of its colours, and lines of text below it; black on white in every theme.
 *
 * `picture`: a canvas; `style`: colours, scale, low, high; `lines`: texts, the first one is the title; `counts`: how many of the
 * values are missing, masked, saturated; `ratio`: pixels of the canvas for one of CSS.
 */
export function figureOf({ picture, style, lines, counts, ratio }) {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  const sized = (pixels) => Math.round(pixels * ratio);
  const fontOf = (isTitle) => `${isTitle ? "bold " : ""}${TEXT.size * ratio}px system-ui, "DejaVu Sans", sans-serif`;
  const bar = { x: sized(MARGIN + BAR.gap) + picture.width, y: sized(MARGIN), width: sized(BAR.width), height: picture.height };
  const width = bar.x + bar.width + sized(BAR.labels);
  const written = lines.flatMap((words, i) => {
    pen.font = fontOf(!i);
    return wrapped(pen, words, width - 2 * sized(MARGIN)).map((line) => ({ words: line, isTitle: !i }));
  });
  const faults = Object.keys(FAULT_COLOURS).filter((kind) => counts?.[kind]);
  const nLines = written.length + (faults.length ? 1 : 0);
  Object.assign(canvas, { width, height: picture.height + sized(2 * MARGIN + 6 + nLines * TEXT.line) });

  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(picture, sized(MARGIN), sized(MARGIN));
  pen.font = fontOf(false);
  drawBar(pen, bar, style, ratio);
  pen.textAlign = "left";
  pen.textBaseline = "alphabetic";
  let y = picture.height + sized(MARGIN + 6);
  for (const { words, isTitle } of written) {
    y += sized(TEXT.line);
    pen.font = fontOf(isTitle);
    pen.fillStyle = "#000";
    pen.fillText(words, sized(MARGIN), y);
  }
  let x = sized(MARGIN);
  y += sized(TEXT.line);
  pen.font = fontOf(false);
  for (const kind of faults) {
    pen.fillStyle = `#${FAULT_COLOURS[kind]}`;
    pen.fillRect(x, y - sized(10), sized(11), sized(11));
    pen.fillStyle = "#000";
    const words = `${kind} ${number(counts[kind])}`;
    pen.fillText(words, x + sized(16), y);
    x += sized(32) + pen.measureText(words).width;
  }
  return canvas;
}

function drawBar(pen, { x, y, width, height }, style, ratio) {
  const colours = table(style.colours);
  for (let row = 0; row < height; row += 1) {
    pen.fillStyle = css(colours[Math.round((1 - row / Math.max(1, height - 1)) * 255)]);
    pen.fillRect(x, y + row, width, 1);
  }
  pen.strokeStyle = "#000";
  pen.lineWidth = ratio;
  pen.strokeRect(x, y, width, height);
  pen.fillStyle = "#000";
  pen.textAlign = "left";
  for (let i = 0; i < N_LABELS; i += 1) {
    const place = i / (N_LABELS - 1);
    const at = y + (1 - place) * height;
    pen.textBaseline = i === 0 ? "bottom" : i === N_LABELS - 1 ? "top" : "middle";
    pen.fillRect(x + width, Math.min(y + height - ratio, at), 4 * ratio, ratio);
    pen.fillText(number(valueAt(place, style)), x + width + 7 * ratio, at);
  }
}

/** Return the value that has a place between the limits, 0 to 1, on the bar of a scale. */
export function valueAt(place, style) {
  let { low, high } = style;
  if (place <= 0) return low;
  if (place >= 1) return high;
  const placeOf = scaling(style);
  for (let i = 0; i < 60; i += 1) {
    const middle = (low + high) / 2;
    if (placeOf(middle) < place) low = middle;
    else high = middle;
  }
  return high;
}

function wrapped(pen, text, width) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) ? `${lines.at(-1)} ${word}` : word;
    if (lines.at(-1) && pen.measureText(longer).width > width) lines.push(word);
    else lines[lines.length - 1] = longer;
  }
  return lines;
}
