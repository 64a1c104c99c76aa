// The panel of a telescope: the mosaic of its modules, pulse heights, sources and clients of its live view, InitHpIo.
import { oneOf } from "./address.js";
import { COLOUR_MAPS, SCALES } from "./colours.js";
import { card, choice, dialog, field, h, loadStyle, note, say, table } from "./elements.js";
import { paced, repeated } from "./paced.js";
import { plot } from "./plot.js";
import { Mosaic, paintPixels, PRODUCT_WORDS } from "./telescope_mosaic.js";
import { duration, number, quantity } from "./words.js";

const PATH = "panel/telescope";
const STATE_PERIOD_MS = 1000;
const LIMITS = [["common", "lowest to highest"], ["own", "1 % to 99 %"], ["hand", "by hand"]];
const WINDOWS = [["10", "10 s"], ["60", "1 minute"], ["600", "10 minutes"]];
const MAX_MODULE = 65535;

/** Show the panel. */
export async function show(element, context) {
  await loadStyle("panel.css");
  return new TelescopePanel(element, context);
}

class TelescopePanel {
  constructor(element, context) {
    this.context = context;
    const { parameters } = context;
    this.modules = modulesOf(parameters.modules ?? "") ?? [];
    this.products = (parameters.products ?? "").split(",").filter((product) => product in PRODUCT_WORDS);
    this.seconds = oneOf(WINDOWS, parameters.seconds, "60");
    this.style = {
      colours: oneOf(COLOUR_MAPS, parameters.colours, "inferno"),
      scale: oneOf(SCALES, parameters.scale, "linear"),
      limits: oneOf(LIMITS, parameters.limits, "common"),
      low: Number(parameters.low ?? 0),
      high: Number(parameters.high ?? 255),
    };
    this.readout = h("p", { class: "readout small mono", "aria-live": "off" });
    this.mosaic = new Mosaic({ style: this.style, onpoint: (words) => say(this.readout, words), onpick: (cell) => this.pick(cell) });
    this.live = paced(context, `${PATH}/images`, { draw: (message) => this.take(message), view: () => this.wish() });
    this.missing = h("p", { class: "complaint", hidden: true });
    element.append(this.bar(), this.missing, this.columns());
    this.state = repeated(() => this.ask(), STATE_PERIOD_MS);
  }

  // -- controls

  bar() {
    this.low = h("input", { type: "number", step: "any", value: String(this.style.low), onchange: () => this.restyle({ low: Number(this.low.value) }) });
    this.high = h("input", { type: "number", step: "any", value: String(this.style.high), onchange: () => this.restyle({ high: Number(this.high.value) }) });
    this.hand = h("div", { class: "row" }, field("from", this.low), field("to", this.high));
    this.hand.hidden = this.style.limits !== "hand";
    const modules = h("input", { type: "text", value: textOf(this.modules), placeholder: "all", spellcheck: "false", autocomplete: "off", onchange: () => this.choose(modules) });
    const products = [["", "all"], ...Object.entries(PRODUCT_WORDS)];
    this.colours = choice(COLOUR_MAPS.map((name) => [name, name]), this.style.colours, (colours) => this.restyle({ colours }));
    this.freezer = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.freeze() }, "Freeze");
    return h("section", { class: "card controls" }, h("h1", { class: "unseen" }, "Telescope"), h("div", { class: "row ends" },
      this.live.element,
      field("Modules", modules),
      field("Product", choice(products, this.products[0] ?? "", (product) => this.chooseProduct(product))),
      field("Colours", this.colours),
      field("Scale", choice(SCALES, this.style.scale, (scale) => this.restyle({ scale }))),
      field("Limits", choice(LIMITS, this.style.limits, (limits) => this.restyle({ limits }))),
      this.hand,
      h("span", { class: "grow" }),
      this.freezer,
      h("button", { type: "button", onclick: () => this.initialise() }, "Sources …")));
  }

  wish() {
    return { modules: this.modules, products: this.products };
  }

  choose(input) {
    const modules = modulesOf(input.value);
    if (!modules) return note(`Modules are numbers from 0 to ${MAX_MODULE}, such as 1, 3-5.`, "bad");
    this.modules = modules;
    this.context.keep({ modules: textOf(modules) || null });
    this.lookAnew();
  }

  chooseProduct(product) {
    this.products = product ? [product] : [];
    this.context.keep({ products: product || null });
    this.lookAnew();
  }

  lookAnew() {
    this.mosaic.clear();
    this.pick(null);
    this.live.view(this.wish());
    this.state.now();
  }

  restyle(changes) {
    Object.assign(this.style, changes);
    this.hand.hidden = this.style.limits !== "hand";
    const { colours, scale, limits, low, high } = this.style;
    const isHand = limits === "hand";
    this.context.keep({ colours, scale, limits: limits === "common" ? null : limits, low: isHand ? low : null, high: isHand ? high : null });
    this.mosaic.paint();
    this.drawPicked();
  }

  freeze() {
    this.live.freeze(!this.live.isFrozen);
    this.freezer.setAttribute("aria-pressed", String(this.live.isFrozen));
  }

  async initialise() {
    const folder = h("input", { type: "text", spellcheck: "false", autocomplete: "off", placeholder: "/data" });
    const interval = h("input", { type: "number", min: "0.001", step: "any", value: "0.1" });
    const modules = h("input", { type: "text", value: textOf(this.modules), placeholder: "all", spellcheck: "false" });
    const force = h("input", { type: "checkbox" });
    const simulate = h("input", { type: "checkbox", onchange: () => (folder.disabled = simulate.checked) });
    const answer = await dialog({
      title: "Exchange the sources (InitHpIo)",
      content: [
        field("Folder of the run directories", folder, "As the server of the live view sees it."),
        h("label", { class: "row" }, simulate, "simulate the acquisition instead"),
        field("Shortest time between two images, in s", interval),
        field("Modules that are wanted", modules),
        h("label", { class: "row" }, force, "end the streams of other clients"),
      ],
      buttons: [{ value: "ok", words: "Exchange", kind: "danger" }],
      check: () => {
        if (!simulate.checked && !folder.value.trim()) return "Give the folder, or simulate.";
        if (!(Number(interval.value) > 0)) return "The time is a number above 0.";
        return modulesOf(modules.value) ? null : `Modules are numbers from 0 to ${MAX_MODULE}, such as 1, 3-5.`;
      },
    });
    if (!answer) return;
    const body = { data_dir: folder.value.trim(), simulate: simulate.checked, update_interval_s: Number(interval.value), modules: modulesOf(modules.value), force: force.checked };
    try {
      note((await this.context.api(`${PATH}/init`, { body })).message);
      this.mosaic.clear();
      this.pick(null);
    } catch (error) {
      note(error.message, "bad");
    }
  }

  // -- what comes

  take({ header, arrays }) {
    const isWanted = ({ facts: { module, product } }) => (!this.modules.length || this.modules.includes(module)) && (!this.products.length || this.products.includes(product));
    // A message that was on its way when another choice was made has images of the choice before.
    this.mosaic.take(header.tiles.map((facts, i) => ({ facts, ...arrays[i] })).filter(isWanted));
    this.drawPicked();
  }

  pick(cell) {
    this.picked = cell;
    this.single.hidden = !cell;
    this.drawPicked();
  }

  drawPicked() {
    const cell = this.picked;
    if (!cell || !cell.parts.size) return;
    const image = this.mosaic.wholeOf(cell);
    Object.assign(this.large, { width: image.width, height: image.height });
    paintPixels(this.large, image, { ...this.style, ...this.mosaic.limitsOf(cell) });
    say(this.singleTitle, `Module ${cell.module}, ${cell.product}`);
    this.facts.replaceChildren(...this.mosaic.factsOf(cell).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
  }

  // -- state

  columns() {
    this.large = h("canvas", { class: "pixels large", role: "img", "aria-label": "The chosen image" });
    this.large.addEventListener("pointermove", (event) => this.picked && this.mosaic.point({ ...this.picked, canvas: this.large }, event));
    this.facts = h("dl", { class: "facts" });
    this.single = card("", this.large, this.facts);
    this.singleTitle = h("h2", {});
    this.single.prepend(this.singleTitle);
    this.single.hidden = true;
    this.heights = plot({ title: "Images by their largest pixel (ADC)", unit: "", x: "number", steps: true, height: 150 });
    this.tally = h("p", { class: "small" });
    this.message = h("p", { class: "message" });
    this.sources = table([
      { title: "Source", cell: ({ name }) => name },
      { title: "", cell: (source) => sourceBadge(source) },
      { title: "Images", cell: ({ frames }) => number(frames), align: "right" },
    ], { empty: "No source is open." });
    this.rows = table([
      { title: "Module", cell: ({ module }) => module },
      { title: "Product", cell: ({ product, board }) => (board === null ? product : `${product}, board ${board}`) },
      { title: "Rate", cell: ({ rate_hz: rate }) => quantity(rate, "Hz"), align: "right" },
      { title: "Age", cell: ({ age_s: age }) => duration(age), align: "right" },
      { title: "All 0", cell: ({ zero_frames: n }) => number(n), align: "right" },
    ], { empty: "No image has come." });
    this.clients = table([
      { title: "Client", cell: ({ peer }) => peer },
      { title: "Interval", cell: ({ interval_s: interval }) => duration(interval), align: "right" },
      { title: "Sent", cell: ({ sent }) => number(sent), align: "right" },
      { title: "Too slow", cell: ({ skipped_by_slow_client: n }) => number(n), align: "right" },
    ], { empty: "Nobody looks." });
    const windows = choice(WINDOWS, this.seconds, (seconds) => {
      this.seconds = seconds;
      this.context.keep({ seconds });
      this.state.now();
    }, { "aria-label": "Pulse heights of the last" });
    const left = [this.mosaic.element, this.readout, card("Modules", this.rows.element), card("Clients of the live view", this.clients.element)];
    const right = [this.single, card("Pulse heights", windows, this.heights.element, this.tally), card("Live view", this.message, this.sources.element)];
    return h("div", { class: "split" }, h("div", { class: "column" }, left), h("div", { class: "column" }, right));
  }

  async ask() {
    const [state, heights] = await Promise.all([
      this.context.api(PATH),
      this.context.api(`${PATH}/pulse-heights?seconds=${this.seconds}${this.modules.map((module) => `&module=${module}`).join("")}`),
    ]);
    say(this.message, state.message);
    this.message.classList.toggle("complaint", !state.is_initialised);
    this.sources.fill(state.sources);
    const wanted = new Set(this.modules);
    this.rows.fill(state.products.filter(({ module }) => !wanted.size || wanted.has(module)));
    this.clients.fill(state.clients);
    const there = new Set(state.products.map(({ module }) => module));
    const missing = state.answers ? this.modules.filter((module) => !there.has(module)) : [];
    this.missing.hidden = !missing.length;
    say(this.missing, `No image has come of ${missing.length === 1 ? "module" : "modules"} ${textOf(missing)}.`);
    this.drawHeights(heights);
  }

  drawHeights({ edges, modules }) {
    this.heights.draw({ x: edges.slice(0, -1), to: edges.at(-1), series: modules.map(({ module, counts }) => ({ name: `module ${module}`, y: counts })) });
    const sum = (name) => modules.reduce((total, one) => total + one[name], 0);
    say(this.tally, modules.length ? `${number(sum("images"))} images, and ${number(sum("skipped"))} that the live view did not send.` : "No pulse heights have come since somebody looks.");
  }

  get keys() {
    return [["f", "Freeze, and go on"], ["c", "Next colours"], ["← →", "From image to image"], ["Enter", "Show the image large"]];
  }

  onKey({ key }) {
    if (key === "f") this.freeze();
    else if (key === "c") {
      const colours = COLOUR_MAPS[(COLOUR_MAPS.indexOf(this.style.colours) + 1) % COLOUR_MAPS.length];
      this.colours.value = colours;
      this.restyle({ colours });
    } else return false;
    return true;
  }

  close() {
    this.live.close();
    this.state.close();
    this.heights.close();
  }
}

function sourceBadge({ is_running: runs, problem, silent_s: silent }) {
  if (problem) return h("span", { class: "badge", title: problem, dataset: { level: "bad" } }, "problem");
  if (!runs) return h("span", { class: "badge", dataset: { level: "bad" } }, "ended");
  return h("span", { class: "badge", dataset: { level: "ok" } }, silent > STALE_AFTER_S ? `silent for ${duration(silent)}` : "delivers");
}
const STALE_AFTER_S = 2;


/** Return the modules that a text names, such as "1, 3-5"; null if it names none of them rightly. */
function modulesOf(text) {
  const modules = new Set();
  for (const part of text.split(",").map((each) => each.trim()).filter(Boolean)) {
    const found = /^(\d+)(?:\s*-\s*(\d+))?$/.exec(part);
    const [low, high] = found ? [Number(found[1]), Number(found[2] ?? found[1])] : [1, 0];
    if (low > high || high > MAX_MODULE || modules.size + high - low >= 4096) return null;
    for (let module = low; module <= high; module += 1) modules.add(module);
  }
  return [...modules].sort((a, b) => a - b);
}

function textOf(modules) {
  const runs = [];
  for (const module of modules) {
    const run = runs.at(-1);
    if (run && run[1] === module - 1) run[1] = module;
    else runs.push([module, module]);
  }
  return runs.map(([low, high]) => (low === high ? low : `${low}-${high}`)).join(", ");
}
