// The panel of a photon simulation: hits of the newest event on the detector, workers, queue and rates.
import { COLOUR_MAPS, scaling, table as colourTable } from "./colours.js";
import { card, choice, field, h, loadStyle, say, table } from "./elements.js";
import { paced, repeated } from "./paced.js";
import { plot } from "./plot.js";
import { scene, SCENE_KEYS } from "./scene3d.js";
import { duration, number, quantity } from "./words.js";

const PATH = "panel/farm";
const STATE_PERIOD_MS = 1000;
const KEPT = 300;
const SHOWN = [["counts", "number of hits"], ["times", "mean time"]];
const STATES = { busy: "ok", idle: "ok", stuck: "bad", refused: "bad" };
const COUNTS = {
  completed: "events simulated", failed: "events that failed", given_up: "events given up", resent: "requests sent again", refused: "requests refused",
  moved: "requests moved", malformed: "no requests", worker_deaths: "workers lost at work", late: "late replies", strange: "no messages of a worker",
  undelivered: "replies undelivered", connections_ended: "connections ended",
};
const WRONG = new Set(["failed", "given_up", "refused", "malformed", "worker_deaths", "strange"]);

/** Show the panel. */
export async function show(element, context) {
  await loadStyle("panel.css");
  return new FarmPanel(element, context);
}

class FarmPanel {
  constructor(element, context) {
    this.context = context;
    const { parameters } = context;
    this.shown = SHOWN.some(([name]) => name === parameters.shown) ? parameters.shown : "counts";
    this.colours = COLOUR_MAPS.includes(parameters.colours) ? parameters.colours : "viridis";
    this.history = { x: [], events: [], waiting: [], flight: [] };
    this.positions = null;
    this.event = null;
    this.picture = h("div", {});
    this.live = paced(context, `${PATH}/hits`, { draw: (message) => this.take(message), pace: 250, noun: "event" });
    element.append(this.bar(), this.columns());
    this.state = repeated(() => this.ask(), STATE_PERIOD_MS);
  }

  bar() {
    this.freezer = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.freeze() }, "Freeze");
    this.chooser = choice(SHOWN, this.shown, (shown) => this.choose({ shown }));
    return h("section", { class: "card controls" }, h("h1", { class: "unseen" }, "Photon simulation"), h("div", { class: "row ends" },
      this.live.element,
      field("Show", this.chooser),
      field("Colours", choice(COLOUR_MAPS.map((name) => [name, name]), this.colours, (colours) => this.choose({ colours }))),
      h("span", { class: "grow" }),
      h("button", { type: "button", onclick: () => this.scene?.reset() }, "Turn back"),
      this.freezer));
  }

  columns() {
    this.title = h("h2", { class: "event-title" }, "No event yet");
    this.legend = h("div", { class: "legend small" });
    this.rates = plot({ title: "Events", unit: "/s", height: 110 });
    this.queue = plot({ title: "Requests", unit: "", height: 110 });
    this.profile = plot({ title: "Channels by their number of hits", x: "number", steps: true, height: 130 });
    this.message = h("p", { class: "complaint", hidden: true });
    this.router = h("dl", { class: "facts router" });
    this.connected = table([
      { title: "Worker", cell: ({ name }) => name },
      { title: "", cell: ({ state }) => h("span", { class: "badge", dataset: { level: STATES[state] ?? "warn" } }, state) },
      { title: "Events in hand", cell: ({ events }) => number(events), align: "right" },
      { title: "Photons in hand", cell: ({ photons }) => number(photons), align: "right" },
      { title: "Heard", cell: ({ silent_s: silent }) => `${duration(silent)} ago`, align: "right" },
    ], { empty: "No worker is connected to the router." });
    this.workers = table([
      { title: "On this machine", cell: ({ instance }) => instance },
      { title: "", cell: (worker) => workerBadge(worker) },
      { title: "Events", cell: ({ events }) => number(events), align: "right" },
      { title: "Events/s", cell: ({ events_per_s: rate }) => quantity(rate), align: "right" },
      { title: "Photons/s", cell: ({ photons_per_s: rate }) => quantity(rate), align: "right" },
      { title: "Hits of photons", cell: ({ hits, photons }) => (photons ? `${number((100 * hits) / photons, 3)} %` : "–"), align: "right" },
      { title: "Engine", cell: ({ busy }) => (busy === null ? "–" : `${Math.round(100 * Math.min(1, busy))} %`), align: "right" },
    ], { empty: "No worker runs on this machine." });
    const left = [card(null, this.title, this.picture, this.legend), card("Workers", this.connected.element, this.workers.element)];
    const right = [card("Rates", this.rates.element, this.queue.element), card("Router", this.message, this.router), card("Hits of the event", this.profile.element)];
    return h("div", { class: "split" }, h("div", { class: "column" }, left), h("div", { class: "column" }, right));
  }

  choose(changes) {
    Object.assign(this, changes);
    this.context.keep({ shown: this.shown === "counts" ? null : this.shown, colours: this.colours === "viridis" ? null : this.colours });
    this.drawEvent();
  }

  freeze() {
    this.live.freeze(!this.live.isFrozen);
    this.freezer.setAttribute("aria-pressed", String(this.live.isFrozen));
  }

  take({ header, arrays }) {
    if (arrays.positions) this.place(arrays.positions.values);
    this.event = { ...header, counts: arrays.counts.values, times: arrays.times.values };
    this.drawEvent();
  }

  /** Make a scene around the channels. */
  place(positions) {
    this.positions = Float32Array.from(positions);
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    this.positions.forEach((value, i) => {
      low[i % 3] = Math.min(low[i % 3], value);
      high[i % 3] = Math.max(high[i % 3], value);
    });
    const centre = low.map((value, i) => (value + high[i]) / 2);
    const radius = Math.max(1, Math.hypot(...low.map((value, i) => high[i] - value)) / 2);
    const n = this.positions.length / 3;
    this.scene?.close();
    this.scene = scene({ centre, radius: 0.8 * radius, up: 2, label: "Hits of the newest event, on the channels of the detector", size: Math.max(2, Math.min(9, 260 / Math.sqrt(n))) });
    this.picture.replaceChildren(this.scene.element);
  }

  drawEvent() {
    const { event } = this;
    if (!event || !this.scene) return;
    const values = this.shown === "counts" ? event.counts : event.times;
    const [low, high] = this.limits(values, event.counts);
    const map = colourTable(this.colours);
    const place = scaling({ scale: this.shown === "counts" ? "sqrt" : "linear", low, high });
    const dark = document.documentElement.dataset.theme === "dark";
    const empty = dark ? 0xff44392f : 0xffdcd5cf;
    const colours = Uint32Array.from(values, (value, i) => (event.counts[i] ? map[Math.round(255 * Math.min(1, Math.max(0, 0.1 + 0.9 * place(value))))] : empty));
    this.scene.draw({ points: this.positions, colours, lines: [] });
    say(this.title, event.event_id === null ? "No event yet" : `Event ${number(event.event_id)}`);
    const words = [
      `${number(event.n_hits)} hits`, `${number(event.n_hit)} of ${number(event.n_channels)} channels`,
      this.shown === "counts" ? `up to ${number(high)} hits of a channel` : `mean times from ${number(low)} to ${number(high)} ns`,
      `${number(event.n_events)} events so far`, event.n_unknown ? `${number(event.n_unknown)} hits of unknown channels` : null,
    ].filter(Boolean);
    this.legend.replaceChildren(...words.map((text) => h("span", {}, text)));
    this.drawProfile(event);
  }

  /** Return the limits of the colours: from 0 for numbers of hits, from the first for times. */
  limits(values, counts) {
    let [low, high] = this.shown === "counts" ? [0, 1] : [Infinity, -Infinity];
    for (let i = 0; i < values.length; i += 1) {
      if (!counts[i]) continue;
      low = Math.min(low, values[i]);
      high = Math.max(high, values[i]);
    }
    return low > high ? [0, 1] : [low, high];
  }

  drawProfile({ counts }) {
    let highest = 1;
    for (const count of counts) if (count > highest) highest = count;
    const step = Math.max(1, Math.ceil(highest / 60));
    const bins = new Array(Math.floor(highest / step) + 1).fill(0);
    for (const count of counts) if (count) bins[Math.floor(count / step)] += 1;
    this.profile.draw({ x: bins.map((_, i) => i * step), to: bins.length * step, series: [{ name: "channels", y: bins }] });
  }

  async ask() {
    const state = await this.context.api(PATH);
    this.message.hidden = !state.message;
    say(this.message, state.message);
    this.connected.fill(state.connected);
    this.workers.fill(state.workers);
    const { workers_by_state: byState } = state;
    const rows = [
      ...Object.entries(byState).map(([name, n]) => [`workers ${name}`, number(n), n > 0 && STATES[name] === "bad"]),
      ["requests waiting", number(state.waiting)], ["requests at workers", number(state.in_flight)],
      ...Object.entries(state.counts).map(([name, n]) => [COUNTS[name] ?? name, number(n), n > 0 && WRONG.has(name)]),
    ];
    this.router.replaceChildren(...(state.answers ? rows : []).flatMap(([name, value, isBad]) => [h("dt", {}, name), h("dd", { class: isBad ? "complaint" : null }, value)]));
    this.remember(state);
  }

  remember({ answers, events_per_s: rate, waiting, in_flight: flight }) {
    const { history } = this;
    const point = { x: Date.now() / 1000, events: answers ? rate : null, waiting: answers ? waiting : null, flight: answers ? flight : null };
    for (const [name, values] of Object.entries(history)) {
      values.push(point[name]);
      if (values.length > KEPT) values.shift();
    }
    const from = history.x.at(-1) - KEPT * (STATE_PERIOD_MS / 1000);
    this.rates.draw({ x: history.x, from, series: [{ name: "events", y: history.events }] });
    this.queue.draw({ x: history.x, from, series: [{ name: "waiting", y: history.waiting }, { name: "at workers", y: history.flight }] });
  }

  get keys() {
    return [["f", "Freeze, and go on"], ["c", "Number of hits, or mean time"], ...SCENE_KEYS];
  }

  onKey(event) {
    if (event.key === "f") this.freeze();
    else if (event.key === "c") {
      this.chooser.value = this.shown === "counts" ? "times" : "counts";
      this.choose({ shown: this.chooser.value });
    } else return this.scene?.onKey(event) ?? false;
    return true;
  }

  close() {
    this.live.close();
    this.state.close();
    this.scene?.close();
    for (const graph of [this.rates, this.queue, this.profile]) graph.close();
  }
}

function workerBadge({ answers, is_connected: is }) {
  if (!answers) return h("span", { class: "badge", dataset: { level: "bad" } }, "does not answer");
  return h("span", { class: "badge", dataset: { level: is ? "ok" : "warn" } }, is ? "connected" : "no router");
}
