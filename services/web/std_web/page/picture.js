// The picture: an image as colours, values in large pixels, hatching of what has no value, and what is drawn above it.
import { onceAFrame } from "./canvas.js";
import { HATCH_COLOURS, css, isBright, paint } from "./colours.js";
import { MASKED, MISSING, gapWord, isPlain } from "./frame.js";
import { h } from "./elements.js";
import { number } from "./words.js";
import { Viewport } from "./viewport.js";

const VALUES_FROM = 34; // pixels of CSS for one of the detector, from which on its value is written in it
const MARK = "#ffffff";
// A pixel that is missing is shown as that, also if it is masked.
const KINDS = [
  { name: "missing", bit: MISSING, before: 0, colour: HATCH_COLOURS.missing, direction: 1, stripes: null },
  { name: "masked", bit: MASKED, before: MISSING, colour: HATCH_COLOURS.masked, direction: -1, stripes: null },
];

/** Draws images and what lies above them. */
export class Picture {
  /** `style` has colours, scale, low, high; `marks` has cursor, regions, rings, geometry, modules: what is drawn above. */
  constructor(style, marks) {
    Object.assign(this, { style, marks, frame: null, counts: null, viewport: new Viewport(), drawing: null });
    this.redraw = onceAFrame(() => {
      if (this.baseIsOld) this.paintBase();
      this.baseIsOld = false;
      this.paintAbove();
    });
    this.canvas = h("canvas", { class: "pixels", role: "img", "aria-label": "Image of the detector", tabindex: "0" });
    this.above = h("canvas", { class: "above", "aria-hidden": "true" });
    this.element = h("div", { class: "picture" }, this.canvas, this.above);
    this.bitmap = document.createElement("canvas");
    this.layer = document.createElement("canvas");
    this.places = { missing: document.createElement("canvas"), masked: document.createElement("canvas") };
    this.ratio = 1;
    this.onresize = () => {};
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
  }

  close() {
    this.observer.disconnect();
  }

  resize() {
    this.ratio = Math.min(2, devicePixelRatio || 1);
    const width = Math.round(this.element.clientWidth * this.ratio);
    const height = Math.round(this.element.clientHeight * this.ratio);
    if (!width || !height) return;
    for (const canvas of [this.canvas, this.above]) Object.assign(canvas, { width, height });
    this.viewport.setWindow(width, height);
    this.draw();
    this.onresize();
  }

  /** Take another image. */
  setFrame(frame) {
    this.frame = frame;
    this.colour();
  }

  /** Colour the image again: it or the style is another one. */
  colour() {
    const { frame } = this;
    if (!frame) return;
    const pixels = new ImageData(frame.width, frame.height);
    this.colours = new Uint32Array(pixels.data.buffer);
    this.counts = paint(frame, this.style, this.colours);
    put(this.bitmap, pixels);
    for (const { name, bit, before } of KINDS) {
      if (!this.counts[name]) continue;
      const place = new ImageData(frame.width, frame.height);
      const cells = new Uint32Array(place.data.buffer);
      for (let i = 0; i < cells.length; i += 1) if ((frame.flags[i] & (bit | before)) === bit) cells[i] = 0xffffffff;
      put(this.places[name], place);
    }
    this.draw();
  }

  /** Draw all again with the next paint of the screen. */
  draw() {
    this.baseIsOld = true;
    this.drawAbove();
  }

  /** Draw again what lies above the image. */
  drawAbove() {
    this.redraw();
  }

  placeOf([x0, y0, x1, y1]) {
    const [left, top] = this.viewport.toWindow(x0, y0);
    const [right, bottom] = this.viewport.toWindow(x1, y1);
    return [left, top, right - left, bottom - top];
  }

  paintBase() {
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.frame) return;
    pen.imageSmoothingEnabled = false;
    const place = this.placeOf(this.frame.region);
    pen.drawImage(this.bitmap, ...place);
    if (this.counts.missing + this.counts.masked) this.hatch(pen, place);
    if (isPlain(this.frame) && this.viewport.scale >= VALUES_FROM * this.ratio) this.writeValues(pen);
  }

  /** Fill what is missing and what is masked with stripes, which stay as wide as they are at any zoom. */
  hatch(pen, place) {
    const { width, height } = this.canvas;
    const layer = this.layer.getContext("2d");
    for (const kind of KINDS) {
      if (!this.counts[kind.name]) continue;
      kind.stripes ??= stripes(kind.colour, kind.direction);
      Object.assign(this.layer, { width, height });
      layer.imageSmoothingEnabled = false;
      layer.drawImage(this.places[kind.name], ...place);
      layer.globalCompositeOperation = "source-in";
      layer.fillStyle = layer.createPattern(kind.stripes, "repeat");
      layer.fillRect(0, 0, width, height);
      pen.drawImage(this.layer, 0, 0);
    }
  }

  writeValues(pen) {
    const { frame, viewport } = this;
    const [x0, y0, x1, y1] = viewport.region();
    const [left, top, right, bottom] = frame.region;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const size = Math.min(13, viewport.scale / this.ratio / 3.4) * this.ratio;
    pen.font = `${size}px ui-monospace, "DejaVu Sans Mono", monospace`;
    for (let y = Math.max(y0, top); y < Math.min(y1, bottom); y += 1) {
      for (let x = Math.max(x0, left); x < Math.min(x1, right); x += 1) {
        const i = (y - top) * frame.width + (x - left);
        const [sx, sy] = viewport.toWindow(x + 0.5, y + 0.5);
        pen.fillStyle = isBright(this.colours[i]) ? "#000" : "#fff";
        pen.fillText(gapWord(frame.flags[i]) ?? valueWords(frame.values[i], frame.isInteger), sx, sy, viewport.scale * 0.92);
      }
    }
  }

  paintAbove() {
    const pen = this.above.getContext("2d");
    pen.clearRect(0, 0, this.above.width, this.above.height);
    pen.lineWidth = this.ratio;
    pen.font = `${12 * this.ratio}px ${getComputedStyle(document.body).fontFamily}`;
    const { cursor, regions, rings, geometry, modules, band } = this.marks;
    for (const corners of modules ?? []) this.box(pen, corners, "rgb(255 255 255 / .35)", null, []);
    if (geometry) this.drawRings(pen, rings ?? [], geometry);
    regions.forEach(({ corners, colour, name }) => this.box(pen, corners, colour, name, []));
    if (band) this.box(pen, band, MARK, null, [4, 3]);
    if (cursor) this.drawCursor(pen, cursor);
  }

  box(pen, corners, colour, name, dashes) {
    const [x, y, width, height] = this.placeOf(corners);
    for (const [width_, style] of [[3, "rgb(0 0 0 / .55)"], [1.25, colour]]) {
      if (style !== colour && !name && !dashes.length) continue;
      pen.lineWidth = width_ * this.ratio;
      pen.setLineDash(dashes.map((dash) => dash * this.ratio));
      pen.strokeStyle = style;
      pen.strokeRect(x, y, width, height);
    }
    pen.setLineDash([]);
    if (name) this.write(pen, name, x + 4 * this.ratio, Math.max(y, 0) + 4 * this.ratio, "left", "top", colour);
  }

  write(pen, words, x, y, align, baseline, colour = MARK) {
    Object.assign(pen, { textAlign: align, textBaseline: baseline, lineWidth: 3 * this.ratio, strokeStyle: "rgb(0 0 0 / .75)", fillStyle: colour, lineJoin: "round" });
    pen.strokeText(words, x, y);
    pen.fillText(words, x, y);
  }

  drawRings(pen, found, geometry) {
    const { scale } = this.viewport;
    const [x, y] = this.viewport.toWindow(geometry.x, geometry.y);
    for (const [width, colour] of [[3, "rgb(0 0 0 / .45)"], [1, "rgb(255 255 255 / .85)"]]) {
      Object.assign(pen, { lineWidth: width * this.ratio, strokeStyle: colour });
      pen.beginPath();
      for (const { rx, ry } of found) {
        pen.moveTo(x + rx * scale, y);
        pen.ellipse(x, y, rx * scale, ry * scale, 0, 0, 2 * Math.PI);
      }
      const arm = 8 * this.ratio;
      pen.moveTo(x - arm, y);
      pen.lineTo(x + arm, y);
      pen.moveTo(x, y - arm);
      pen.lineTo(x, y + arm);
      pen.stroke();
    }
    const { width, height } = this.above;
    for (const { words, rx, ry } of found) {
      // At the first of these angles that is in the window.
      const angle = [-45, 45, -135, 135, -90, 90, 0, 180, -20, 20, -70, 70, -110, 110, -160, 160].find((degrees) => {
        const [px, py] = [x + rx * scale * Math.cos((degrees * Math.PI) / 180), y + ry * scale * Math.sin((degrees * Math.PI) / 180)];
        return px > 24 && py > 12 && px < width - 24 && py < height - 12;
      });
      if (angle === undefined) continue;
      this.write(pen, words, x + rx * scale * Math.cos((angle * Math.PI) / 180), y + ry * scale * Math.sin((angle * Math.PI) / 180), "center", "middle");
    }
  }

  drawCursor(pen, { x, y, pinned }) {
    const [sx, sy] = this.viewport.toWindow(x + 0.5, y + 0.5);
    pen.lineWidth = this.ratio;
    pen.strokeStyle = pinned ? "rgb(255 255 255 / .9)" : "rgb(255 255 255 / .4)";
    pen.beginPath();
    pen.moveTo(0, sy);
    pen.lineTo(this.above.width, sy);
    pen.moveTo(sx, 0);
    pen.lineTo(sx, this.above.height);
    pen.stroke();
    if (this.viewport.scale > 4) this.box(pen, [x, y, x + 1, y + 1], MARK, null, []);
  }

  /** Return the colour of a value of the image, as CSS writes it. */
  colourAt(index) {
    return css(this.colours[index]);
  }

  /** Return the picture as it is seen, as a canvas. */
  toCanvas() {
    // What the screen shows may be of the image before, for the time of one frame.
    this.paintBase();
    this.baseIsOld = false;
    this.paintAbove();
    const whole = document.createElement("canvas");
    Object.assign(whole, { width: this.canvas.width, height: this.canvas.height });
    const pen = whole.getContext("2d");
    pen.drawImage(this.canvas, 0, 0);
    pen.drawImage(this.above, 0, 0);
    return whole;
  }
}

/** Return a pixel's value in few characters. */
export function valueWords(value, isInteger) {
  if (isInteger && Math.abs(value) < 1e7) return String(value);
  return number(value, 3).replaceAll(",", "");
}

function put(canvas, pixels) {
  if (canvas.width !== pixels.width || canvas.height !== pixels.height) Object.assign(canvas, { width: pixels.width, height: pixels.height });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function stripes(colour, direction) {
  const size = 8;
  const tile = document.createElement("canvas");
  Object.assign(tile, { width: size, height: size });
  const pen = tile.getContext("2d");
  pen.strokeStyle = `#${colour}`;
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, direction > 0 ? size : 0);
    pen.lineTo(shift + size, direction > 0 ? 0 : size);
  }
  pen.stroke();
  return tile;
}
