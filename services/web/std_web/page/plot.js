// Plots of series over time or over columns, on a canvas: small, dense, readable in both themes.
import { painted, penOf } from "./canvas.js";
import { h, say } from "./elements.js";
import { number, quantity } from "./words.js";

const MARGIN = { left: 52, right: 10, top: 8, bottom: 20 };
export const SERIES_COLOURS = ["--series-1", "--series-2", "--series-3", "--series-4", "--series-5", "--series-6"];

/** Return the value of a colour of the theme. */
export function themeColour(name, element = document.documentElement) {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

/** Return at most about `n` round positions between two values. */
export function ticks(low, high, n = 4) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const rough = span / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step || 0); // -0 is 0
  return found;
}

/**
 * Make a plot: {element, draw({x, series, from, to}), close()}.
 *
 * `title`, `unit`; `x`: "time" (seconds since 1970, shown as seconds before the last) or "number"; `zero`: the scale begins
 * at 0; `log`: logarithmic values; `steps`: draws steps, as histograms are. Each of `series` is {name, y, colour?, gap?}; y has a
 * value, null where there is none, for each of x; `gap(i)` may return words for a value that is null. `onpick(x)` is called
 * if a place is clicked.
 */
export function plot({ title, unit = "", x: kind = "time", zero = true, log = false, steps = false, height = 120, onpick = null, marks = null }) {
  const canvas = h("canvas", { role: "img", "aria-label": title });
  const latest = h("span", { class: "latest" });
  const element = h("figure", { class: "plot" }, h("figcaption", {}, h("span", { class: "title" }, title), latest), canvas);
  canvas.style.height = `${height}px`;
  let data = { x: [], series: [] };
  let pointer = null;
  let shown = null;
  const { redraw, close } = painted(canvas, () => paint());

  function paint() {
    const { pen, width } = penOf(canvas, height) ?? {};
    if (!pen) return;
    const area = { x0: MARGIN.left, x1: width - MARGIN.right, y0: MARGIN.top, y1: height - MARGIN.bottom };
    const scale = scales(area);
    frame(pen, area, scale);
    data.series.forEach((one, i) => line(pen, one.y, scale, colourOf(one, i)));
    if (pointer !== null && data.x.length) readOut(pen, area, scale);
    describe();
  }

  function colourOf(one, i) {
    const colour = one.colour ?? SERIES_COLOURS[i % SERIES_COLOURS.length];
    return colour.startsWith("--") ? themeColour(colour) : colour;
  }

  function scales(area) {
    const xs = data.x;
    const low = data.from ?? xs[0] ?? 0;
    const high = data.to ?? xs.at(-1) ?? 1;
    let bottom = Infinity;
    let top = -Infinity;
    for (const { y } of data.series) {
      for (const value of y) {
        if (value === null || value === undefined || !Number.isFinite(value) || (log && value <= 0)) continue;
        if (value < bottom) bottom = value;
        if (value > top) top = value;
      }
    }
    if (bottom > top) [bottom, top] = log ? [0.8, 10] : [0, 1];
    if (zero && !log) [bottom, top] = [Math.min(0, bottom), Math.max(0, top)];
    if (log) bottom = Math.min(bottom, top / 10) * 0.8;
    if (bottom === top) top = bottom + (Math.abs(bottom) || 1);
    if (!log) top += (top - bottom) * 0.06;
    if (!zero && !log) bottom -= (top - bottom) * 0.06;
    const [vertical, from, to] = log ? [Math.log10, Math.log10(bottom), Math.log10(top)] : [(v) => v, bottom, top];
    return {
      low, high, bottom, top,
      x: (value) => area.x0 + ((value - low) / (high - low || 1)) * (area.x1 - area.x0),
      y: (value) => area.y1 - ((vertical(value) - from) / (to - from)) * (area.y1 - area.y0),
      back: (place) => low + ((place - area.x0) / (area.x1 - area.x0)) * (high - low),
    };
  }

  function frame(pen, area, scale) {
    pen.strokeStyle = themeColour("--line");
    pen.fillStyle = themeColour("--muted");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    const levels = log
      ? ticks(Math.log10(scale.bottom), Math.log10(scale.top), 3).filter(Number.isInteger).map((power) => 10 ** power)
      : ticks(scale.bottom, scale.top, 3);
    for (const level of levels) {
      const y = Math.round(scale.y(level)) + 0.5;
      pen.beginPath();
      pen.moveTo(area.x0, y);
      pen.lineTo(area.x1, y);
      pen.stroke();
      pen.fillText(quantity(level, "", 3), area.x0 - 6, y);
    }
    pen.textBaseline = "top";
    const places = kind === "time" ? timeTicks(scale.high - scale.low) : ticks(scale.low, scale.high, Math.max(2, (area.x1 - area.x0) / 90));
    let free = -Infinity;
    places.forEach((place) => {
      const x = scale.x(kind === "time" ? place + scale.high : place);
      const words = kind === "time" ? timeWords(place) : number(place);
      const room = pen.measureText(words).width / 2;
      const left = Math.min(Math.max(x - room, area.x0), area.x1 - 2 * room);
      if (left < free) return;
      free = left + 2 * room + 6;
      pen.textAlign = "left";
      pen.fillText(words, left, area.y1 + 5);
    });
    for (const mark of data.marks ?? marks ?? []) {
      if (mark.at < scale.low || mark.at > scale.high) continue;
      pen.strokeStyle = themeColour(mark.colour ?? "--accent");
      pen.beginPath();
      pen.moveTo(scale.x(mark.at), area.y0);
      pen.lineTo(scale.x(mark.at), area.y1);
      pen.stroke();
    }
  }

  function line(pen, values, scale, colour) {
    pen.strokeStyle = colour;
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    pen.beginPath();
    let down = false;
    const n = data.x.length;
    for (let i = 0; i < n; i += 1) {
      const value = values[i];
      if (value === null || value === undefined || !Number.isFinite(value) || (log && value <= 0)) {
        down = false;
        continue;
      }
      const x = scale.x(data.x[i]);
      const y = scale.y(value);
      if (!down) pen.moveTo(x, y);
      else pen.lineTo(x, y);
      if (steps) pen.lineTo(scale.x(data.x[i + 1] ?? 2 * data.x[i] - (data.x[i - 1] ?? data.x[i])), y);
      else if (!down && !Number.isFinite(values[i + 1] ?? NaN)) pen.lineTo(x + 1, y);
      down = true;
    }
    pen.stroke();
  }

  function nearest(scale) {
    const wanted = scale.back(pointer);
    let best = 0;
    for (let i = 1; i < data.x.length; i += 1) if (Math.abs(data.x[i] - wanted) < Math.abs(data.x[best] - wanted)) best = i;
    return steps && data.x[best] > wanted && best > 0 ? best - 1 : best;
  }

  function readOut(pen, area, scale) {
    const i = nearest(scale);
    const x = scale.x(data.x[i]);
    pen.strokeStyle = themeColour("--muted");
    pen.setLineDash([2, 3]);
    pen.beginPath();
    pen.moveTo(x, area.y0);
    pen.lineTo(x, area.y1);
    pen.stroke();
    pen.setLineDash([]);
    const place = kind === "time" ? timeWords(data.x[i] - scale.high) : number(data.x[i]);
    showValues(i, `${place}: `);
  }

  /** Write the values at one place, each with the colour of its line. */
  function showValues(i, before = "") {
    const parts = data.series.map(({ name, y, gap }, n) => ({ colour: colourOf(data.series[n], n), words: `${n && name ? `${name} ` : ""}${(y[i] === null && gap?.(i)) || quantity(y[i], unit)}` }));
    const text = before + parts.map(({ words }) => words).join(" · ");
    if (text === shown) return;
    shown = text;
    latest.replaceChildren(before, ...parts.map(({ colour, words }) => {
      if (parts.length === 1) return words;
      const swatch = h("i", { class: "swatch" });
      swatch.style.background = colour;
      return h("span", { class: "value" }, swatch, words);
    }));
  }

  function sayLatest(words) {
    if (words !== shown) say(latest, words);
    shown = words;
  }

  function describe() {
    if (!data.x.length) sayLatest("no data yet");
    else if (pointer === null && data.summary !== undefined) sayLatest(data.summary);
    else if (pointer === null && kind === "time") showValues(data.x.length - 1);
    else if (pointer === null) sayLatest("");
    canvas.setAttribute("aria-label", `${title}: ${latest.textContent}`);
  }

  canvas.addEventListener("pointermove", (event) => {
    pointer = event.offsetX;
    redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    pointer = null;
    redraw();
  });
  if (onpick) {
    canvas.addEventListener("click", (event) => {
      const area = { x0: MARGIN.left, x1: canvas.clientWidth - MARGIN.right, y0: 0, y1: 1 };
      onpick(scales(area).back(event.offsetX));
    });
  }
  return {
    element,
    draw(next) {
      data = next;
      redraw();
    },
    close,
  };
}

function timeTicks(span) {
  const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600].find((one) => span / one <= 5) ?? span / 4;
  return Array.from({ length: Math.floor(span / step + 1e-9) + 1 }, (_, i) => -i * step || 0).reverse();
}

function timeWords(seconds) {
  if (Math.abs(seconds) < 0.5) return "now";
  return Math.abs(seconds) < 100 && Math.round(seconds) % 60 ? `${Math.round(seconds)} s`.replace("-", "−") : `${(seconds / 60).toFixed(Math.abs(seconds) % 60 ? 1 : 0)} min`.replace("-", "−");
}
