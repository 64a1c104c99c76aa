// The histogram of the image, coloured as the image is, with the limits of the colours, which can be moved.
import { painted, penOf } from "./canvas.js";
import { h } from "./elements.js";
import { css, scaling, table } from "./colours.js";
import { themeColour, ticks } from "./plot.js";
import { number } from "./words.js";

const HEIGHT = 110;
const STRIP = 10;
const AXIS = 16;
const GRIP = 8;

/** Make the histogram: {element, draw(histogram, style), close()}. `onlimits({low, high})` is called as one moves them. */
export function histogramOf({ onlimits }) {
  const canvas = h("canvas", { class: "histogram", role: "img", "aria-label": "Histogram of the image" });
  canvas.style.height = `${HEIGHT}px`;
  const element = h("div", {}, canvas);
  let counts = null;
  let style = null;
  let span = [0, 1];
  let held = null;
  const { redraw, close } = painted(canvas, () => paint());

  const toX = (value) => ((value - span[0]) / (span[1] - span[0] || 1)) * canvas.clientWidth;
  const toValue = (x) => span[0] + (x / canvas.clientWidth) * (span[1] - span[0]);

  function paint() {
    const { pen, width } = (style && penOf(canvas, HEIGHT)) ?? {};
    if (!pen) return;
    const colours = table(style.colours);
    const bottom = HEIGHT - STRIP - AXIS;
    if (counts) bars(pen, colours, width, bottom);
    const place = scaling(style);
    for (let x = 0; x < width; x += 1) {
      pen.fillStyle = css(colours[Math.min(255, Math.max(0, Math.round(place(toValue(x + 0.5)) * 255)))]);
      pen.fillRect(x, HEIGHT - STRIP - AXIS + 2, 1, STRIP);
    }
    pen.fillStyle = themeColour("--muted");
    pen.textBaseline = "bottom";
    for (const value of ticks(span[0], span[1], 4)) {
      const words = number(value, 3);
      const half = pen.measureText(words).width / 2;
      pen.textAlign = "center";
      pen.fillText(words, Math.min(width - half, Math.max(half, toX(value))), HEIGHT);
    }
    for (const value of [style.low, style.high]) {
      const x = Math.min(width - 1, Math.max(1, toX(value)));
      pen.fillStyle = themeColour("--accent");
      pen.fillRect(x - 1, 0, 2, bottom);
      pen.beginPath();
      pen.arc(x, 6, 5, 0, 2 * Math.PI);
      pen.fill();
    }
    canvas.setAttribute("aria-label", `Histogram of the image; colours from ${number(style.low)} to ${number(style.high)}`);
  }

  function bars(pen, colours, width, bottom) {
    const place = scaling(style);
    const most = Math.log1p(Math.max(1, ...counts.counts));
    const n = counts.counts.length;
    const edge = themeColour("--edge");
    for (let x = 0; x < width; x += 1) {
      const value = toValue(x + 0.5);
      const bin = Math.floor(((value - counts.low) / (counts.high - counts.low || 1)) * n);
      if (bin < 0 || bin >= n || !counts.counts[bin]) continue;
      const height = Math.max(1, (Math.log1p(counts.counts[bin]) / most) * (bottom - 14));
      const at = Math.min(255, Math.max(0, Math.round(place(value) * 255)));
      pen.fillStyle = edge;
      pen.fillRect(x, bottom - height, 1, height);
      if (value >= style.low && value <= style.high) {
        pen.fillStyle = css(colours[at]);
        pen.fillRect(x, bottom - height + 1, 1, height - 1);
      }
    }
  }

  canvas.addEventListener("pointerdown", (event) => {
    const [low, high] = [toX(style.low), toX(style.high)];
    const nearLow = Math.abs(event.offsetX - low) <= Math.abs(event.offsetX - high);
    if (Math.min(Math.abs(event.offsetX - low), Math.abs(event.offsetX - high)) > 3 * GRIP) return;
    held = nearLow ? "low" : "high";
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    const value = toValue(event.offsetX);
    onlimits(held === "low" ? { low: Math.min(value, style.high), high: style.high } : { low: style.low, high: Math.max(value, style.low) });
  });
  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      held = null;
      settle();
      redraw();
    });
  }

  /** Take the span that the plot shows; while a limit is held, it stays, or the limit would run away. */
  function settle() {
    if (held || !style) return;
    const [low, high] = counts ? [counts.low, counts.high] : [style.low, style.high];
    const room = (style.high - style.low) * 0.5 || 1;
    span = [Math.max(Math.min(low, style.low), style.low - room), Math.max(style.high, Math.min(high, style.high + 2 * room))];
  }

  return {
    element,
    draw(histogram, next) {
      counts = histogram ?? counts;
      style = next;
      settle();
      redraw();
    },
    close,
  };
}
