// The mosaic of a telescope: a canvas for each product of each module, with common limits for each product.
import { COLOUR_MAPS, scaling, table } from "./colours.js";
import { h, say } from "./elements.js";
import { duration, number } from "./words.js";

// Upper left corner (row, column) of each quarter board in an image of four.
const QUARTERS = [[0, 0], [0, 16], [16, 16], [16, 0]];
const ORDER = ["ph256", "ph1024", "img8", "img16", "image"];
export const PRODUCT_WORDS = { ph256: "pulse heights of a board", ph1024: "pulse heights", img8: "movie, 8 bit", img16: "movie, 16 bit", image: "image" };

export class Mosaic {
  /** `style`: {colours, scale, limits: "common"|"own"|"hand", low, high}; `onpoint(words)`, `onpick(cell)`. */
  constructor({ style, onpoint, onpick }) {
    Object.assign(this, { style, onpoint, onpick });
    this.cells = new Map();
    this.modules = new Map();
    this.picked = null;
    this.nothing = h("p", { class: "empty" }, "No image has come yet.");
    this.element = h("div", { class: "mosaic", role: "group", "aria-label": "Images of all modules" }, this.nothing);
    this.element.addEventListener("keydown", (event) => this.step(event));
  }

  /** Take tiles: [{facts, values, shape}]. */
  take(tiles) {
    for (const tile of tiles) {
      const cell = this.cellOf(tile.facts.module, tile.facts.product);
      cell.parts.set(tile.facts.board, tile);
      cell.came = performance.now();
    }
    this.paint();
  }

  clear() {
    this.picked = null;
    this.cells.clear();
    this.modules.clear();
    this.element.replaceChildren(this.nothing);
  }

  products() {
    return ORDER.filter((product) => [...this.cells.values()].some((cell) => cell.product === product));
  }

  cellOf(module, product) {
    const key = `${module} ${product}`;
    if (!this.cells.has(key)) {
      const canvas = h("canvas", { width: 32, height: 32, class: "pixels" });
      const caption = h("span", { class: "small" });
      const button = h("button", { type: "button", class: "tile", dataset: { module, product }, onclick: () => this.pick(cell) }, canvas, caption);
      const cell = { key, module, product, canvas, caption, button, parts: new Map(), came: 0 };
      canvas.addEventListener("pointermove", (event) => this.point(cell, event));
      canvas.addEventListener("pointerleave", () => this.onpoint(""));
      this.cells.set(key, cell);
      this.place(cell);
    }
    return this.cells.get(key);
  }

  place(cell) {
    this.nothing.remove();
    if (!this.modules.has(cell.module)) {
      const row = h("div", { class: "tiles" });
      const box = h("section", { class: "card module", dataset: { module: cell.module } }, h("h3", {}, `Module ${cell.module}`), row);
      this.modules.set(cell.module, { box, row });
      const later = [...this.modules.keys()].sort((a, b) => a - b).find((module) => module > cell.module);
      this.element.insertBefore(box, later === undefined ? null : this.modules.get(later).box);
    }
    const { row } = this.modules.get(cell.module);
    const later = [...row.children].find((other) => ORDER.indexOf(other.dataset.product) > ORDER.indexOf(cell.product));
    row.insertBefore(cell.button, later ?? null);
  }

  limitsOf(cell) {
    const { limits, low, high } = this.style;
    if (limits === "hand") return { low, high };
    const cells = limits === "own" ? [cell] : [...this.cells.values()].filter(({ product }) => product === cell.product);
    const facts = cells.flatMap(({ parts }) => [...parts.values()].map((part) => part.facts));
    const [from, to] = limits === "own" ? ["low", "high"] : ["min", "max"];
    // A single module that is noisy or dead does not set the limits of all.
    const lowest = quantile(facts.map((one) => one[from]), 0.05);
    const highest = quantile(facts.map((one) => one[to]), 0.95);
    return { low: lowest, high: highest > lowest ? highest : lowest + 1 };
  }

  paint() {
    const common = new Map();
    for (const cell of this.cells.values()) {
      if (!common.has(cell.product) || this.style.limits === "own") common.set(cell.product, this.limitsOf(cell));
      this.paintCell(cell, common.get(cell.product));
    }
  }

  paintCell(cell, limits) {
    const image = this.wholeOf(cell);
    if (cell.canvas.width !== image.width || cell.canvas.height !== image.height) Object.assign(cell.canvas, { width: image.width, height: image.height });
    paintPixels(cell.canvas, image, { ...this.style, ...limits });
    const facts = [...cell.parts.values()].map((part) => part.facts);
    const highest = Math.max(...facts.map(({ max }) => max));
    say(cell.caption, `${cell.product} · max ${number(highest)}`);
    cell.button.setAttribute("aria-label", `Module ${cell.module}, ${PRODUCT_WORDS[cell.product] ?? cell.product}: largest pixel ${number(highest)}`);
    cell.button.classList.toggle("picked", this.picked === cell.key);
  }

  /** Return the image of a cell; those of single boards are put together, and boards that are not there have no value. */
  wholeOf(cell) {
    const parts = [...cell.parts.entries()];
    if (parts.length === 1 && parts[0][0] < 0) {
      const [{ values, shape: [height, width] }] = [parts[0][1]];
      return { values, width, height };
    }
    const values = new Float32Array(1024).fill(NaN);
    for (const [board, part] of parts) {
      const [row, column] = QUARTERS[board] ?? [0, 0];
      for (let i = 0; i < 16; i += 1) for (let k = 0; k < 16; k += 1) values[(row + i) * 32 + column + k] = part.values[i * 16 + k];
    }
    return { values, width: 32, height: 32 };
  }

  point(cell, event) {
    const { values, width, height } = this.wholeOf(cell);
    const box = cell.canvas.getBoundingClientRect();
    const column = Math.min(width - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * width)));
    const row = Math.min(height - 1, Math.max(0, Math.floor(((event.clientY - box.top) / box.height) * height)));
    const value = values[row * width + column];
    this.onpoint(`module ${cell.module} ${cell.product}, row ${row}, column ${column}: ${Number.isNaN(value) ? "no board" : number(value)}`);
  }

  pick(cell) {
    this.picked = this.picked === cell.key ? null : cell.key;
    this.paint();
    this.onpick(this.picked ? cell : null);
  }

  step(event) {
    const move = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const buttons = [...this.element.querySelectorAll(".tile")];
    const at = buttons.indexOf(document.activeElement);
    if (!move || at < 0) return;
    event.preventDefault();
    buttons[(at + move + buttons.length) % buttons.length].focus();
  }

  factsOf(cell) {
    const facts = [...cell.parts.values()].map((part) => part.facts);
    const sum = (name) => facts.reduce((total, one) => total + (one[name] ?? 0), 0);
    const last = facts.reduce((best, one) => ((one.time ?? 0) >= (best.time ?? 0) ? one : best));
    return [
      ["product", PRODUCT_WORDS[cell.product] ?? cell.product],
      ["pixels", `${last.shape[1]} x ${last.shape[0]}${last.binning > 1 ? `, maxima of ${last.binning} x ${last.binning}` : ""}`],
      ["taken", last.time === null ? "–" : new Date(last.time * 1000).toISOString().replace("T", " ").replace("Z", " UTC")],
      ["age", last.time === null ? "–" : duration(Math.max(0, Date.now() / 1000 - last.time))],
      ["lowest, highest", `${number(Math.min(...facts.map(({ min }) => min)))}, ${number(Math.max(...facts.map(({ max }) => max)))}`],
      ["mean", number(sum("mean") / facts.length)],
      ["frame", number(last.frame_number)],
      ["not shown since the last one", number(last.skipped)],
      ["file", last.file || "–"],
    ];
  }
}

/** Return the value below which this part of the values is. */
function quantile(values, part) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.round(part * (sorted.length - 1))];
}

/** Paint an image, a pixel of the canvas for each; what is not a number stays transparent. */
export function paintPixels(canvas, { values, width, height }, style) {
  const colours = table(COLOUR_MAPS.includes(style.colours) ? style.colours : COLOUR_MAPS[0]);
  const place = scaling(style);
  const target = new ImageData(width, height);
  const words = new Uint32Array(target.data.buffer);
  for (let i = 0; i < words.length; i += 1) {
    const value = values[i];
    if (Number.isNaN(value)) continue;
    const index = place(value) * 255;
    words[i] = colours[index >= 255 ? 255 : index > 0 ? Math.round(index) : 0];
  }
  canvas.getContext("2d").putImageData(target, 0, 0);
}
