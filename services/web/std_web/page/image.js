// The view of the live image.
import { oneOf } from "./address.js";
import { COLOUR_MAPS, FAULT_COLOURS, SCALES } from "./colours.js";
import { card, choice, field, h, loadStyle, note, save, say } from "./elements.js";
import { figureOf } from "./figure.js";
import { gapWord, indexAt, isPlain, SATURATED } from "./frame.js";
import { angleAt, geometryOf, rings, spacingAt } from "./geometry.js";
import { histogramOf } from "./histogram.js";
import { handsOn } from "./image_hands.js";
import { follow } from "./image_live.js";
import { limitWords, limitsOf } from "./limits.js";
import { Picture, valueWords } from "./picture.js";
import { plot } from "./plot.js";
import { regionList, regionsOf } from "./regions.js";
import { ringControl } from "./ring_control.js";
import { clock, duration, number } from "./words.js";

const REDUCTIONS = [["max", "max"], ["mean", "mean"]];
const ADDRESS_WAIT_MS = 300;

/** Show the live image of a detector. */
export async function show(element, context) {
  await loadStyle("image.css");
  return new ImageView(element, context);
}

class ImageView {
  constructor(element, context) {
    this.context = context;
    const { parameters, detector } = context;
    this.geometry = geometryOf(detector);
    this.style = { colours: oneOf(COLOUR_MAPS, parameters.colours, "viridis"), scale: oneOf(SCALES, parameters.scale, "linear") };
    this.reduce = oneOf(REDUCTIONS, parameters.reduce, "max");
    this.marks = { cursor: null, regions: [], rings: [], geometry: null, modules: null, band: null };
    this.withRings = parameters.rings === "1" && this.geometry !== null;
    this.withModules = parameters.modules === "1";
    this.frame = null;
    this.firstRegion = regionsOf(parameters.region)[0] ?? null;
    this.build(element, parameters);
    if (detector.shape) this.takeShape(detector.shape);
    this.showOverlays();
    this.live = follow(context, {
      wanted: () => this.wanted(),
      onimage: (frame) => this.take(frame),
      onstate: (state) => this.showState(state),
      onring: (ring) => this.ring.takeRing(ring),
    });
    this.ticker = setInterval(() => this.showState(this.live.state()), 500);
    this.keys = [["Space", "Freeze, and go on"], [", .", "Image before, image after"], ["+ −", "Zoom"], ["arrows", "Move"], ["f", "Whole image"], ["o", "One pixel as one"], ["a", "Limits by percentile"],
      ["l", "Next scale"], ["c", "Next colour map"], ["r", "Mark a region"], ["Esc", "Let the cursor go"]];
  }

  build(element, parameters) {
    this.picture = new Picture(this.style, this.marks);
    this.picture.onresize = () => this.viewChanged();
    this.limits = limitsOf(parameters, this.style, (byHand = true) => this.recolour(byHand));
    this.ring = ringControl({ initial: parameters.image === undefined ? null : Number(parameters.image), onchange: () => this.changed() });
    this.regions = regionList({
      initial: regionsOf(parameters.regions), statistic: parameters.statistic,
      onchange: () => { this.showOverlays(); this.changed(); },
      onzoom: (corners) => { this.picture.viewport.showRegion(corners); this.picture.draw(); this.viewChanged(); },
    });
    this.histogram = histogramOf({ onlimits: (limits) => this.limits.set(limits) });
    this.row = plot({ title: "Row", x: "number", zero: false, height: 96 });
    this.column = plot({ title: "Column", x: "number", zero: false, height: 96 });
    this.hands = handsOn({
      picture: this.picture,
      onview: () => this.viewChanged(),
      oncursor: (place) => this.point(place),
      onpin: (x, y) => this.pin(x, y),
      isMarking: () => this.mark.getAttribute("aria-pressed") === "true",
      onregion: (corners) => {
        this.mark.setAttribute("aria-pressed", "false");
        if (!this.regions.add(corners)) note("There are six regions; remove one first.", "bad");
      },
      onband: (corners) => { this.marks.band = corners; this.picture.drawAbove(); },
    });
    this.word = h("span", { class: "badge word", role: "status" });
    this.message = h("span", { class: "message" });
    this.readout = h("span", { class: "readout mono" }, "Point at a pixel to read it.");
    this.facts = h("dl", { class: "facts" });
    this.legend = h("div", { class: "legend" });
    this.scaleWords = h("span", { class: "muted small" });
    element.append(
      h("h1", { class: "unseen" }, `Image of ${this.context.detector.name}`),
      h("div", { class: "image-main" },
        this.toolbar(),
        h("div", { class: "frame" }, this.picture.element, h("div", { class: "plate" }, this.word, this.message), this.legend),
        h("div", { class: "foot" }, this.readout, this.scaleWords),
        this.ring.element),
      h("aside", { class: "image-side", "aria-label": "Colours, profiles and regions" },
        card("Colours", this.histogram.element, ...this.colourFields(), ...this.limits.elements),
        card("Through the cursor", this.row.element, this.column.element),
        card("Regions", this.regions.element),
        card("This image", this.facts)));
    this.drawLegend(null);
  }

  toolbar() {
    const button = (words, title, onclick, more = {}) => h("button", { type: "button", title, onclick, ...more }, words);
    const toggle = (words, title, name, usable = true) => button(words, title, (event) => {
      this[name] = !this[name];
      event.currentTarget.setAttribute("aria-pressed", String(this[name]));
      this.showOverlays();
      this.keepAddress();
    }, { "aria-pressed": String(this[name]), disabled: !usable });
    this.mark = button("Region", "Draw a region of interest (r)", () => this.mark.setAttribute("aria-pressed", String(this.mark.getAttribute("aria-pressed") !== "true")), { "aria-pressed": "false" });
    return h("div", { class: "toolbar row", role: "toolbar", "aria-label": "Image" },
      button("Fit", "Whole image (f)", () => this.hands.fit()),
      button("1:1", "One pixel as one of the screen (o)", () => this.hands.full()),
      button("−", "Smaller (−)", () => this.hands.zoom(-1), { "aria-label": "Smaller" }),
      button("+", "Larger (+)", () => this.hands.zoom(1), { "aria-label": "Larger" }),
      h("span", { class: "gap" }),
      this.mark,
      toggle("Rings", this.geometry ? "Rings of equal resolution" : "The configuration says too little of where the detector is: nexus.distance_m, nexus.beam_center_px", "withRings", this.geometry !== null),
      toggle("Modules", "Borders of the modules", "withModules"),
      h("span", { class: "gap" }),
      button("Save PNG", "The picture as you see it", () => this.savePng()),
      button("Save figure", "The picture with colour bar, limits, image, time and detector, as a PNG", () => this.saveFigure()),
      button("Save NeXus", "All pixels of this image, with their meaning", () => this.saveNexus()));
  }

  colourFields() {
    this.colourChooser = choice(COLOUR_MAPS.map((name) => [name, name]), this.style.colours, (value) => { this.style.colours = value; this.recolour(); });
    this.scaleChooser = choice(SCALES, this.style.scale, (value) => { this.style.scale = value; this.recolour(); });
    const reduction = choice(REDUCTIONS, this.reduce, (value) => { this.reduce = value; this.changed(); });
    return [h("div", { class: "row three" }, field("Map", this.colourChooser), field("Scale", this.scaleChooser), field("Bins", reduction))];
  }

  /** What the server is asked for. */
  wanted() {
    const { viewport } = this.picture;
    return {
      type: "view", region: viewport.region(), size: viewport.size(), reduce: this.reduce, position: this.ring.position() ?? "newest",
      cursor: this.marks.cursor ? [this.marks.cursor.x, this.marks.cursor.y] : null, rois: this.regions.corners(), histogram: true,
    };
  }

  takeShape([height, width]) {
    const { viewport } = this.picture;
    if (!viewport.setImage(width, height)) return;
    if (this.firstRegion) viewport.showRegion(this.firstRegion);
    this.firstRegion = null;
    this.showOverlays();
  }

  take(frame) {
    const { header } = frame;
    if (header.image_shape) this.takeShape(header.image_shape);
    this.frame = frame;
    this.limits.take(header);
    this.ring.take(header);
    this.regions.take(header);
    this.picture.setFrame(frame);
    this.histogram.draw(header.histogram, this.style);
    this.showProfiles(header.cursor);
    this.showFacts(header);
    this.drawLegend(this.picture.counts);
    this.showReadout();
    this.showState(this.live.state());
  }

  changed() {
    this.live?.changed();
    this.keepAddress();
  }

  viewChanged() {
    const { viewport, ratio } = this.picture;
    const size = viewport.scale / ratio;
    say(this.scaleWords, size >= 1 ? `a pixel is ${number(size, 2)} wide` : `${number(1 / size, 2)} pixels in one`);
    this.changed();
  }

  recolour(byHand = true) {
    this.picture.colour();
    this.histogram.draw(null, this.style);
    if (byHand) this.showReadout();
    this.keepAddress();
  }

  keepAddress() {
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => {
      const { viewport } = this.picture;
      this.context.keep({
        ...this.limits.address(),
        colours: this.style.colours === "viridis" ? null : this.style.colours,
        scale: this.style.scale === "linear" ? null : this.style.scale,
        reduce: this.reduce === "max" ? null : this.reduce,
        region: viewport.fitted ? null : viewport.region().join(","),
        regions: this.regions.corners().map((corners) => corners.join(",")).join(";"),
        statistic: this.regions.statistic() === "sum" ? null : this.regions.statistic(),
        rings: this.withRings ? 1 : null,
        modules: this.withModules ? 1 : null,
        image: this.ring.position(),
      });
    }, ADDRESS_WAIT_MS);
  }

  showOverlays() {
    const { detector } = this.context;
    const { imageWidth, imageHeight } = this.picture.viewport;
    this.marks.regions = this.regions.marks();
    this.marks.geometry = this.withRings ? this.geometry : null;
    this.marks.rings = this.withRings ? rings(this.geometry, imageWidth, imageHeight) : [];
    // Corners of modules include their last pixels.
    this.marks.modules = this.withModules ? Object.values(detector.module_positions ?? {}).map(([x0, y0, x1, y1]) => [Math.min(x0, x1), Math.min(y0, y1), Math.max(x0, x1) + 1, Math.max(y0, y1) + 1]) : null;
    this.picture.drawAbove();
  }

  point(place) {
    if (!this.marks.cursor?.pinned) {
      this.marks.cursor = place && { x: place[0], y: place[1], pinned: false };
      this.picture.drawAbove();
      this.live?.changed();
    }
    this.pointed = place;
    this.showReadout();
  }

  pin(x, y) {
    const { viewport } = this.picture;
    const inside = x >= 0 && y >= 0 && x < viewport.imageWidth && y < viewport.imageHeight;
    const again = this.marks.cursor?.pinned && this.marks.cursor.x === x && this.marks.cursor.y === y;
    this.marks.cursor = inside && !again ? { x, y, pinned: true } : null;
    this.picture.drawAbove();
    this.changed();
    this.showReadout();
  }

  showReadout() {
    const place = this.pointed ?? (this.marks.cursor ? [this.marks.cursor.x, this.marks.cursor.y] : null);
    if (!place || !this.frame) return;
    const [x, y] = place;
    const index = indexAt(this.frame, x, y);
    const words = [`x ${x}  y ${y}`];
    if (index !== null) words.push(this.valueAt(index));
    if (this.geometry) {
      const d = spacingAt(this.geometry, x + 0.5, y + 0.5);
      words.push(d ? `d ${number(d, 3)} Å` : `2θ ${number((angleAt(this.geometry, x + 0.5, y + 0.5) * 180) / Math.PI, 3)}°`);
    }
    const module = Object.entries(this.context.detector.module_positions ?? {}).find(([, [x0, y0, x1, y1]]) => x >= Math.min(x0, x1) && x <= Math.max(x0, x1) && y >= Math.min(y0, y1) && y <= Math.max(y0, y1));
    if (module) words.push(`module ${module[0]}`);
    say(this.readout, words.join("   "));
  }

  valueAt(index) {
    const flag = this.frame.flags[index];
    const gap = gapWord(flag);
    if (gap) return gap;
    const value = valueWords(this.frame.values[index], this.frame.isInteger);
    const of = isPlain(this.frame) ? "" : ` (${this.reduce === "max" ? "maximum" : "mean"} of its bin)`;
    return `${value}${of}${flag & SATURATED ? ", saturated" : ""}`;
  }

  showProfiles(cursor) {
    for (const [graph, profile, name] of [[this.row, cursor?.row, "y"], [this.column, cursor?.column, "x"]]) {
      const { begin, step, values, flags } = profile ?? { begin: 0, step: 1, values: [], flags: [] };
      graph.draw({
        x: values.map((_, i) => begin + i * step),
        series: [{ name: "value", y: values, gap: (i) => gapWord(flags[i]) }],
        summary: profile ? `${name} = ${cursor[name]}${gapWord(cursor.flag) ? `, the pixel is ${gapWord(cursor.flag)}` : ""}` : "point at a pixel",
      });
    }
  }

  showFacts(header) {
    const facts = [["image", number(header.image_id)], ["time", clock(header.time_ns / 1e9, true)], ["smallest", number(header.min)], ["largest", number(header.max)],
      ["bins", isPlain(this.frame) ? "single pixels" : `${this.frame.width} × ${this.frame.height}`],
      ["missing packets", number(header.missing_packets)], ["state", header.status]];
    this.facts.replaceChildren(...facts.filter(([, value]) => value !== "–" && value !== undefined && value !== null).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
  }

  drawLegend(counts) {
    const kinds = Object.keys(FAULT_COLOURS).filter((kind) => counts?.[kind]);
    const key = kinds.map((kind) => `${kind} ${counts[kind]}`).join();
    if (key === this.legendKey) return;
    this.legendKey = key;
    this.legend.replaceChildren(...kinds.map((kind) => h("span", { class: `kind ${kind}` }, h("i", {}), `${kind} ${number(counts[kind])}`)));
    this.legend.hidden = !kinds.length;
  }

  showState({ word, since, message }) {
    const frozen = this.ring.position() !== null;
    const header = this.frame?.header;
    const level = { live: "ok", connecting: "warn", stale: "warn", ended: "warn", refused: "bad" }[word];
    const old = word !== "live" && this.frame !== null;
    this.picture.element.classList.toggle("old", old && !frozen);
    this.word.dataset.level = frozen && word === "live" ? "warn" : level;
    const rate = this.live?.rate() ?? 0;
    let words = word === "live" ? (rate ? `live · ${number(rate, 2)} images/s` : "live") : `${word} since ${clock(since)}`;
    if (frozen) words = `frozen${header ? ` at image ${header.image_id}, ${duration(Math.max(0, Date.now() / 1000 - header.time_ns / 1e9))} old` : ""}${word === "live" ? "" : ` · ${word}`}`;
    say(this.word, words);
    const age = old && header && !frozen ? `The image is ${duration(Math.max(0, Date.now() / 1000 - header.time_ns / 1e9))} old. ` : "";
    say(this.message, word === "live" ? "" : `${age}${message ?? ""}`);
    this.message.hidden = !this.message.textContent;
  }

  async savePng() {
    save(await pngOf(this.picture.toCanvas()), `${this.fileName()}.png`);
  }

  async saveFigure() {
    const { style, frame, picture } = this;
    if (!frame) return note("There is no image yet.", "bad");
    const { header } = frame;
    const [x0, y0, x1, y1] = frame.region;
    const bins = isPlain(frame) ? "single pixels" : `${this.reduce === "max" ? "maximum" : "mean"} of each of ${frame.width} × ${frame.height} bins`;
    const lines = [
      `${this.context.detector.name}, image ${header.image_id}`,
      `${new Date(header.time_ns / 1e6).toISOString().replace("T", " ").replace("Z", " UTC")}, ${header.status}`,
      `Colours: ${limitWords(style)}, ${style.scale}, ${style.colours}. Pixels: x ${x0} to ${x1 - 1}, y ${y0} to ${y1 - 1}, ${bins}.`,
    ];
    const figure = figureOf({ picture: picture.toCanvas(), style, lines, counts: picture.counts, ratio: picture.ratio });
    save(await pngOf(figure), `${this.fileName()}_figure.png`);
  }

  async saveNexus() {
    const sequence = this.frame?.header.sequence;
    try {
      save(await this.context.api("image.nxs", { query: { sequence }, as: "blob" }), `${this.fileName()}.nxs`);
    } catch (error) {
      note(error.message, "bad");
    }
  }

  fileName() {
    return `${this.context.detector.name}_${this.frame?.header.image_id ?? "empty"}`;
  }

  nextOf(chooser) {
    chooser.selectedIndex = (chooser.selectedIndex + 1) % chooser.options.length;
    chooser.dispatchEvent(new Event("change"));
  }

  /** Answer a key; returns whether it means something here. */
  onKey(event) {
    const actions = {
      " ": () => this.ring.toggle(), ",": () => this.ring.step(-1), ".": () => this.ring.step(1),
      "+": () => this.hands.zoom(1), "=": () => this.hands.zoom(1), "-": () => this.hands.zoom(-1), "−": () => this.hands.zoom(-1),
      ArrowLeft: () => this.hands.pan(1, 0), ArrowRight: () => this.hands.pan(-1, 0), ArrowUp: () => this.hands.pan(0, 1), ArrowDown: () => this.hands.pan(0, -1),
      f: () => this.hands.fit(), o: () => this.hands.full(), a: () => this.limits.byPercentile(),
      l: () => this.nextOf(this.scaleChooser), c: () => this.nextOf(this.colourChooser), r: () => this.mark.click(),
      Escape: () => this.marks.cursor?.pinned && this.pin(this.marks.cursor.x, this.marks.cursor.y),
    };
    if (event.key === " " && event.target.closest?.("button, a, select, summary, [type=checkbox]")) return false;
    if (!actions[event.key]) return false;
    actions[event.key]();
    return true;
  }

  close() {
    clearInterval(this.ticker);
    clearTimeout(this.keeping);
    this.live.close();
    for (const part of [this.picture, this.histogram, this.row, this.column, this.regions]) part.close();
  }
}

function pngOf(canvas) {
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}
