// The panel of a chamber: its newest event in three dimensions, histograms, the accounts of builder and analysis, boards.
import { oneOf } from "./address.js";
import { colourOfDigits, table as colourTable } from "./colours.js";
import { card, choice, field, h, loadStyle, note, say, table } from "./elements.js";
import { heatPlot } from "./heat_plot.js";
import { paced, repeated } from "./paced.js";
import { plot } from "./plot.js";
import { cylinder, scene, SCENE_KEYS } from "./scene3d.js";
import { clock, duration, number, quantity } from "./words.js";

const PATH = "panel/chamber";
const STATE_PERIOD_MS = 1000;
const CHAMBER = { radius: 290, low: 0, high: 1000, axis: 2 };
const COLOURINGS = [["clusters", "clusters"], ["amplitude", "amplitude"]];
const SCOPES = [["run", "this run"], ["recent", "last 10 minutes"]];
// The ten colours of tab10, with a light green for the grey, as noise is grey; Rerun's viewer has the same.
const CLUSTERS = ["1f77b4", "ff7f0e", "2ca02c", "d62728", "9467bd", "8c564b", "e377c2", "a0dc8c", "bcbd22", "17becf"];
const NOISE = "808080";
const OUTCOMES = { used: "used", duplicate: "duplicate", late: "late", unexpected: "of no board of this chamber", damaged: "damaged", topology: "topology" };
const GOOD = new Set(["used", "topology"]);

/** Show the panel. */
export async function show(element, context) {
  await loadStyle("panel.css");
  return new ChamberPanel(element, context);
}

class ChamberPanel {
  constructor(element, context) {
    this.context = context;
    const { parameters } = context;
    this.colouring = oneOf(COLOURINGS, parameters.colours, "clusters");
    this.scope = oneOf(SCOPES, parameters.scope, "run");
    this.withNoise = parameters.noise !== "0";
    this.withCircles = parameters.circles !== "0";
    this.event = null;
    this.graphs = new Map();
    this.scene = scene({ centre: [0, 0, 500], radius: 470, up: 0, label: "The newest event" });
    this.live = paced(context, `${PATH}/events`, { draw: (message) => this.takeEvent(message), noun: "event" });
    element.append(this.bar(), this.columns());
    this.filling = paced(context, `${PATH}/histograms`, { draw: (message) => this.takeHistograms(message), pace: 1000, view: () => ({ scope: this.scope }), noun: "event" });
    this.state = repeated(() => this.ask(), STATE_PERIOD_MS);
    this.drawEvent();
  }

  bar() {
    const box = (name, words) => h("label", { class: "row" }, h("input", {
      type: "checkbox", checked: this[name], onchange: (event) => this.choose(name, event.target.checked),
    }), words);
    this.freezer = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.freeze() }, "Freeze");
    return h("section", { class: "card controls" }, h("h1", { class: "unseen" }, "Chamber"), h("div", { class: "row ends" },
      this.live.element,
      field("Colours", choice(COLOURINGS, this.colouring, (value) => this.choose("colouring", value))),
      box("withNoise", "points of no cluster"),
      box("withCircles", "circles of the tracks"),
      h("span", { class: "grow" }),
      h("button", { type: "button", onclick: () => this.scene.reset() }, "Turn back"),
      this.freezer));
  }

  columns() {
    this.title = h("h2", { class: "event-title" }, "No event yet");
    this.legend = h("div", { class: "legend small" });
    this.clusters = table([
      { title: "Cluster", cell: ({ label }) => h("span", { class: "row" }, swatch(label), label) },
      { title: "Points", cell: ({ n_points: n }) => number(n), align: "right" },
      { title: "Brho, T m", cell: ({ brho }) => number(brho, 3), align: "right" },
      { title: "Polar, °", cell: ({ polar }) => (polar === null ? "–" : number((polar * 180) / Math.PI, 3)), align: "right" },
      { title: "Vertex z, mm", cell: ({ vertex_z: z }) => number(z, 4), align: "right" },
    ], { empty: "No track." });
    const picture = card(null, this.title, this.scene.element, this.legend);
    this.tally = h("p", { class: "small" });
    this.plots = h("div", { class: "histograms" });
    const scope = choice(SCOPES, this.scope, (value) => this.chooseScope(value), { "aria-label": "Histograms of" });
    const histograms = card("Histograms", h("div", { class: "row" }, scope, h("button", { type: "button", onclick: () => this.reset() }, "Reset …"), this.tally), this.plots);
    this.builder = h("dl", { class: "facts builder" });
    this.analysis = h("dl", { class: "facts analysis" });
    this.message = h("p", { class: "complaint", hidden: true });
    this.exporters = table([
      { title: "Exporter", cell: ({ address }) => address },
      { title: "", cell: ({ is_connected: is }) => h("span", { class: "badge", dataset: { level: is ? "ok" : "bad" } }, is ? "connected" : "away") },
      { title: "Data", cell: ({ bytes_per_s: rate }) => quantity(rate, "B/s"), align: "right" },
      { title: "Used", cell: ({ frames }) => number(frames.used), align: "right" },
      { title: "Other", cell: ({ frames }) => number(Object.entries(frames).reduce((sum, [name, n]) => sum + (GOOD.has(name) ? 0 : n), 0)), align: "right" },
    ], { empty: "The builder has told of none." });
    this.boards = table([
      { title: "CoBo", cell: ({ cobo }) => cobo },
      { title: "AsAd", cell: ({ asad }) => asad },
      { title: "Frames", cell: ({ frames }) => number(frames), align: "right" },
      { title: "Rate", cell: ({ rate_hz: rate }) => quantity(rate, "Hz"), align: "right" },
      { title: "Missing", cell: ({ missing, frames }) => (missing ? `${number(missing)} (${number((100 * missing) / (missing + frames), 2)} %)` : "0"), align: "right" },
      { title: "Noise", cell: ({ noise }) => (noise === null ? "–" : number(noise, 3)), align: "right" },
      { title: "Silent channels", cell: ({ silent, channels }) => (silent === null ? "–" : `${number(silent)} of ${number(channels)}`), align: "right" },
    ], { empty: "No board is known." });
    this.lookedAt = h("p", { class: "small" });
    const left = [picture, histograms, card("Boards", this.boards.element, this.lookedAt)];
    const right = [card("Clusters", this.clusters.element), card("Event builder", this.message, this.builder), card("Exporters", this.exporters.element), card("Analysis", this.analysis)];
    return h("div", { class: "split" }, h("div", { class: "column" }, left), h("div", { class: "column" }, right));
  }

  choose(name, value) {
    this[name] = value;
    this.context.keep({
      colours: this.colouring === "clusters" ? null : this.colouring,
      noise: this.withNoise ? null : "0",
      circles: this.withCircles ? null : "0",
    });
    this.drawEvent();
  }

  chooseScope(scope) {
    this.scope = scope;
    this.context.keep({ scope: scope === "run" ? null : scope });
    this.filling.view({ scope });
  }

  freeze() {
    this.live.freeze(!this.live.isFrozen);
    this.freezer.setAttribute("aria-pressed", String(this.live.isFrozen));
  }

  async reset() {
    try {
      note((await this.context.api(`${PATH}/histograms/reset`, { method: "POST" })).message);
    } catch (error) {
      note(error.message, "bad");
    }
  }

  // -- the event

  takeEvent({ header, arrays }) {
    this.event = { ...header, points: arrays.points.values, amplitudes: arrays.amplitudes.values, labels: arrays.labels.values };
    this.drawEvent();
  }

  drawEvent() {
    const lines = cylinder(CHAMBER);
    lines.push(...axes());
    const { event } = this;
    if (!event) return this.scene.draw({ lines });
    const kept = [];
    for (let i = 0; i < event.labels.length; i += 1) if (this.withNoise || event.labels[i] >= 0) kept.push(i);
    const points = new Float32Array(3 * kept.length);
    const colours = new Uint32Array(kept.length);
    const paint = this.painter(event);
    kept.forEach((from, to) => {
      points.set(event.points.subarray(3 * from, 3 * from + 3), 3 * to);
      colours[to] = paint(from);
    });
    if (this.withCircles) for (const { circle, label } of event.clusters) if (circle) lines.push({ path: circlePath(circle), colour: `#${clusterColour(label)}`, width: 1.5 });
    this.scene.draw({ points, colours, lines });
    this.describe(event);
  }

  painter(event) {
    if (this.colouring === "clusters") {
      const noise = colourOfDigits(NOISE);
      const known = CLUSTERS.map(colourOfDigits);
      return (i) => (event.labels[i] < 0 ? noise : known[event.labels[i] % known.length]);
    }
    let highest = 1e-9;
    for (const amplitude of event.amplitudes) if (amplitude > highest) highest = amplitude;
    const map = colourTable("viridis");
    return (i) => map[Math.max(0, Math.min(255, Math.round((255 * event.amplitudes[i]) / highest)))];
  }

  describe(event) {
    say(this.title, `Event ${number(event.id)} of run ${number(event.epoch)}`);
    const words = [
      `${number(event.n_points)} points${event.n_shown < event.n_points ? `, ${number(event.n_shown)} of them drawn` : ""}`,
      `${number(event.n_noise)} in no cluster`,
      `${number(event.n_traces)} traces`,
      event.n_missing_boards ? `${number(event.n_missing_boards)} boards missing` : "all boards",
      event.built === null ? null : `built ${clock(event.built, true)}`,
    ].filter(Boolean);
    this.legend.replaceChildren(...words.map((text) => h("span", {}, text)));
    this.clusters.fill(event.clusters);
  }

  // -- the histograms

  takeHistograms({ header, arrays }) {
    for (const description of header.histograms) {
      const { name, title, axes: [first, second] } = description;
      if (!this.graphs.has(name)) {
        const words = first.unit && !second ? `${title} / ${first.unit}` : title;
        const graph = second ? heatPlot({ title }) : plot({ title: words, x: "number", steps: true, height: 130 });
        this.graphs.set(name, graph);
        this.plots.append(graph.element);
      }
      const counts = arrays[name].values;
      if (second) this.graphs.get(name).draw({ counts, shape: arrays[name].shape, axes: description.axes });
      else {
        const width = (first.high - first.low) / first.n_bins;
        this.graphs.get(name).draw({ x: Array.from(counts, (_, i) => first.low + i * width), from: first.low, to: first.high, series: [{ name: "estimates", y: counts }] });
      }
    }
    const what = header.scope === "recent" ? `the last ${header.window_s / 60} minutes` : header.epoch === null ? "no run yet" : `run ${header.epoch}`;
    say(this.tally, `${what}: ${number(header.n_events)} events with ${number(header.n_estimates)} estimates; ${number(header.n_left_out)} events left out`);
  }

  // -- the accounts

  async ask() {
    const { message, builder, exporters, boards, looked_at: lookedAt, analysis, results } = await this.context.api(PATH);
    this.message.hidden = !message;
    say(this.message, message);
    facts(this.builder, builder.answers ? [
      ["events complete", number(builder.events.complete)],
      ["events incomplete", number(builder.events.incomplete), builder.events.incomplete > 0],
      ["events in a second", quantity(builder.events_per_s, "Hz")],
      ["given out too early", number(builder.crowded), builder.crowded > 0],
      ["waiting", `${number(builder.waiting)}, ${quantity(builder.held_bytes, "B")}`],
      ...Object.entries(builder.frames).map(([name, n]) => [`frames ${OUTCOMES[name] ?? name}`, number(n), n > 0 && !GOOD.has(name)]),
      ["frames in doubt", number(builder.in_doubt)],
      ["runs before this one", number(builder.epoch)],
    ] : [["", "does not run, or does not answer", true]]);
    const leftOut = Object.entries(analysis.left_out).map(([name, n]) => [`events ${name.replaceAll("_", " ")}`, number(n), n > 0]);
    facts(this.analysis, [
      ...(analysis.answers ? [["events", number(analysis.events)], ...leftOut, ["estimates", number(analysis.estimates)], ["waiting", number(analysis.waiting)], ["processes", number(analysis.workers)], ["changes of parameters", number(analysis.revision)]] : [["", "does not run, or does not answer", true]]),
      ["results that came here", number(results.results)],
      ["results missed here", number(results.missed), results.missed > 0],
      ["age of the newest", duration(results.newest_age_s)],
    ]);
    this.exporters.fill(exporters);
    this.boards.fill(boards);
    say(this.lookedAt, lookedAt ? `Noise and silent channels: from ${number(lookedAt)} events.` : "");
  }

  get keys() {
    return [["f", "Freeze, and go on"], ["c", "Colour by clusters, or by amplitude"], ...SCENE_KEYS];
  }

  onKey(event) {
    if (event.key === "f") this.freeze();
    else if (event.key === "c") {
      const colouring = this.colouring === "clusters" ? "amplitude" : "clusters";
      document.querySelector(".view-panel .controls select").value = colouring;
      this.choose("colouring", colouring);
    } else return this.scene.onKey(event);
    return true;
  }

  close() {
    this.live.close();
    this.filling.close();
    this.state.close();
    this.scene.close();
    for (const graph of this.graphs.values()) graph.close();
  }
}

function facts(list, rows) {
  const key = JSON.stringify(rows);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...rows.flatMap(([name, value, isBad]) => [h("dt", {}, name), h("dd", { class: isBad ? "complaint" : null }, value)]));
}

function clusterColour(label) {
  return label < 0 ? NOISE : CLUSTERS[label % CLUSTERS.length];
}

function swatch(label) {
  const element = h("i", { class: "swatch", "aria-hidden": "true" });
  element.style.background = `#${clusterColour(label)}`;
  return element;
}

function circlePath([x, y, z, radius]) {
  return Array.from({ length: 97 }, (_, i) => [x + radius * Math.cos((Math.PI * i) / 48), y + radius * Math.sin((Math.PI * i) / 48), z]);
}

function axes() {
  return [["--bad", [120, 0, 0]], ["--ok", [0, 120, 0]], ["--accent", [0, 0, 120]]].map(([colour, end]) => ({ path: [[0, 0, 0], end], colour, width: 2 }));
}
