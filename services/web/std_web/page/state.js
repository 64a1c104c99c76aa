// The view of the state: fine or not, what to do, and the figures of the last minutes.
import { oneOf } from "./address.js";
import { card, choice, h, loadStyle, say, table } from "./elements.js";
import { followHistory } from "./history.js";
import { moduleMap } from "./module_map.js";
import { plot } from "./plot.js";
import { clock, duration, number, quantity } from "./words.js";

const SPANS = [["60", "1 minute"], ["300", "5 minutes"], ["900", "15 minutes"]];
const WARNINGS_PERIOD_MS = 5000;
const MOST_WARNINGS = 30;

// Each plot: title, unit, and its series: [name, name in the history, "rate" for counters, factor].
const PLOTS = [
  { title: "Images", unit: "/s", series: [["images", "images_per_s"], ["not good", "images_not_good", "rate"], ["overwritten", "images_lost", "rate"]] },
  { title: "Packets", unit: "/s", series: [["received", "packets_per_s"]] },
  { title: "Packets lost", unit: "/s", series: [["lost", "packets_lost", "rate"], ["by the kernel", "kernel_drops", "rate"]], colours: ["--bad", "--warn"] },
  { title: "Ring: the slowest reader is behind by", unit: "%", series: [["behind", "ring_occupancy", null, 100]] },
  { title: "Ring: past that is in it", unit: "s", series: [["past", "ring_seconds"]] },
  { title: "Written", unit: "B/s", series: [["written", "written_bytes_per_s"]] },
  { title: "Written images", unit: "/s", series: [["written", "written_images_per_s"], ["lost", "writer_lost", "rate"]] },
  { title: "Disk free", unit: "B", series: [["free", "disk_free_bytes"]] },
  { title: "Broker: messages pass", unit: "", series: [["passes", "broker_connected"]], steps: true, words: (value) => (value ? "yes" : "no") },
  { title: "Replication: sent", unit: "/s", series: [["sent", "sent_images_per_s"]], only: ({ replication }) => uses(replication) },
  { title: "Replication: images that wait", unit: "", series: [["waiting", "replication_lag"]], only: ({ replication }) => uses(replication) },
  { title: "Events", unit: "/s", series: [["events", "events_total", "rate"]] },
  { title: "Processors in use", unit: "cores", series: [["cores", "cpu_cores"]] },
  { title: "Memory in use", unit: "B", series: [["memory", "memory_bytes"]] },
];

const uses = (replication) => Boolean(replication && (replication.n_sources !== null || replication.n_sessions || Object.keys(replication.lag).length));

/** Show the state of a detector. */
export async function show(element, context) {
  await loadStyle("state.css");
  return new StateView(element, context);
}

class StateView {
  constructor(element, context) {
    this.context = context;
    const { parameters, detector } = context;
    this.span = Number(oneOf(SPANS, parameters.seconds, "300"));
    this.status = null;
    this.findings = h("div", { class: "findings" });
    this.headline = h("h1", { class: "headline", role: "status" }, "Asking the services …");
    this.head = h("section", { class: "card verdict", dataset: { level: "unknown" } }, h("span", { class: "dot", "aria-hidden": "true" }), h("div", {}, this.headline, this.findings));
    this.plots = PLOTS.map((description) => ({ description, graph: plot({ ...description, zero: true, height: 104 }) }));
    this.map = moduleMap({ positions: detector.module_positions ?? {}, initial: parameters.map, onchange: (map) => context.keep({ map: map === "lost" ? null : map }) });
    this.facts = h("div", { class: "fact-cards" });
    this.services = table([
      { title: "Service", cell: ({ instance }) => instance },
      { title: "State", cell: (service) => badge(service) },
      { title: "Runs for", cell: ({ up_s }) => duration(up_s), align: "right" },
      { title: "Memory", cell: ({ memory_bytes }) => quantity(memory_bytes, "B"), align: "right" },
      { title: "Figures", cell: ({ figures }) => figureWords(figures) },
    ], { empty: "No service runs on this machine.", key: ({ instance }) => instance });
    this.warnings = table([
      { title: "When", cell: ({ time }) => clock(Date.parse(time) / 1000) },
      { title: "Service", cell: ({ service }) => service },
      { title: "What", cell: ({ event, values }) => h("span", {}, h("b", { class: "mono" }, event), " ", h("span", { class: "muted" }, Object.entries(values ?? {}).map(([name, value]) => `${name}=${value}`).join(" "))) },
    ], { empty: "No warnings since the services started." });
    const span = choice(SPANS, String(this.span), (value) => {
      this.span = Number(value);
      context.keep({ seconds: value === "300" ? null : value });
      this.drawPlots();
    }, { "aria-label": "Span of the plots" });
    this.mapCard = card("Modules", this.map.element);
    element.append(this.head,
      h("div", { class: "state-grid" },
        h("div", { class: "state-main" }, h("section", { class: "card" }, h("div", { class: "row" }, h("h2", { class: "grow" }, "The last minutes"), span), h("div", { class: "plots" }, this.plots.map(({ graph }) => graph.element))), this.facts),
        h("div", { class: "state-side" }, this.mapCard)),
      card("Services", this.services.element),
      card("Recent warnings of the logs", this.warnings.element));
    this.history = followHistory(context, () => this.drawPlots());
    this.unsubscribe = context.status.subscribe((status) => this.take(status));
    this.askWarnings();
  }

  take(status) {
    this.status = status;
    const worst = status.findings.some(({ level }) => level === "problem") ? "bad" : status.findings.length || !status.fine ? "warn" : "ok";
    this.head.dataset.level = worst;
    say(this.headline, headlineOf(status, worst));
    this.fillFindings(status.findings);
    this.map.draw(status.modules ?? []);
    this.mapCard.hidden = !status.modules?.length;
    this.fillFacts(status);
    this.services.fill([...(status.services ?? []), ...(status.absent ?? []).map((instance) => ({ instance, isAbsent: true, figures: {} }))]);
  }

  fillFindings(findings) {
    const key = JSON.stringify(findings.map(({ level, what, since, what_to_do: todo }) => [level, what, since, todo]));
    if (key !== this.findingsKey) {
      this.findingsKey = key;
      this.findings.replaceChildren(...findings.map((finding) => h("div", { class: "finding", dataset: { level: finding.level === "problem" ? "bad" : "warn" } },
        h("p", { class: "what" }, h("span", { class: "badge", dataset: { level: finding.level === "problem" ? "bad" : "warn" } }, finding.level), " ", finding.what),
        h("p", { class: "muted small" }, `since ${clock(finding.since)} · `, h("span", { class: "age" })),
        h("p", { class: "do" }, h("b", {}, "Do: "), finding.what_to_do))));
    }
    this.findings.querySelectorAll(".age").forEach((age, i) => say(age, duration(Math.max(0, Date.now() / 1000 - findings[i].since))));
  }

  fillFacts(status) {
    const cards = [runFacts(status), diskFacts(status), ringFacts(status), brokerFacts(status), writerFacts(status), replicationFacts(status)].filter(Boolean);
    const key = JSON.stringify(cards);
    if (key === this.factsKey) return;
    this.factsKey = key;
    this.facts.replaceChildren(...cards.map(({ title, rows, meter }) => card(title, meter && meterOf(meter), h("dl", { class: "facts" }, rows.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])))));
  }

  drawPlots() {
    const { times, cut } = this.history.window(this.span);
    for (const { description, graph } of this.plots) {
      const series = description.series.map(([name, source, how, factor], i) => {
        const values = cut(how === "rate" ? this.history.rate(source) : this.history.series(source));
        return { name, y: factor ? values.map((value) => value && value * factor) : values, colour: description.colours?.[i] };
      });
      const isKnown = series.some(({ y }) => y.some((value) => value !== null && value !== undefined));
      graph.element.hidden = !isKnown || (description.only && !(this.status && description.only(this.status)));
      const last = series[0].y.at(-1);
      const summary = description.words && last !== null && last !== undefined ? description.words(last) : undefined;
      if (!graph.element.hidden) graph.draw({ x: times, series, from: (times.at(-1) ?? 0) - this.span, to: times.at(-1), summary });
    }
  }

  async askWarnings() {
    try {
      const lines = await this.context.api("warnings", { query: { limit: MOST_WARNINGS } });
      const key = JSON.stringify(lines);
      if (key !== this.warningsKey) this.warnings.fill(lines);
      this.warningsKey = key;
    } catch {
      // The banner of the page tells it.
    }
    if (!this.closed) this.warningTimer = setTimeout(() => this.askWarnings(), WARNINGS_PERIOD_MS);
  }

  close() {
    this.closed = true;
    clearTimeout(this.warningTimer);
    this.unsubscribe();
    this.history.close();
    for (const { graph } of this.plots) graph.close();
  }
}

function headlineOf(status, worst) {
  const n = status.findings.length;
  if (worst === "ok" || n === 0) return status.summary.charAt(0).toUpperCase() + status.summary.slice(1);
  return `Not fine: ${n === 1 ? "one thing is wrong" : `${n} things are wrong`}`;
}

function badge({ isAbsent, is_answering: answers, is_ready: ready, reason }) {
  if (isAbsent) return h("span", { class: "badge", dataset: { level: "bad" } }, "does not run");
  if (!answers) return h("span", { class: "badge", dataset: { level: "bad" } }, "does not answer");
  if (ready) return h("span", { class: "badge", dataset: { level: "ok" } }, "ready");
  return h("span", {}, h("span", { class: "badge", dataset: { level: "warn" } }, "not ready"), " ", reason);
}

function figureWords(figures) {
  return h("span", { class: "small" }, Object.entries(figures ?? {}).map(([title, { value, per_s: rate }]) => `${title} ${number(value)}${rate ? ` (${quantity(rate, "/s")})` : ""}`).join(" · "));
}

function meterOf({ share, level, label }) {
  const fill = h("i", {});
  fill.style.width = `${Math.min(100, Math.max(0, share * 100))}%`;
  return h("div", { class: "meter", dataset: { level }, role: "img", "aria-label": `${label}: ${Math.round(share * 100)} %` }, fill);
}

function runFacts({ run }) {
  if (!run?.state) return null;
  const rows = [["writer agent", run.state]];
  if (run.request_id) {
    rows.push(["file", run.output_file], ["written", `${number(run.n_written)}${run.n_requested ? ` of ${number(run.n_requested)}` : ""}`], ["lost", number(run.n_lost)]);
  }
  for (const [verdict, n] of Object.entries(run.ended)) if (n) rows.push([`runs ${verdict}`, number(n)]);
  return { title: "Run", rows, meter: run.n_requested ? { share: run.n_written / run.n_requested, label: "Written of the run" } : null };
}

function diskFacts({ disk }) {
  if (!disk?.length) return null;
  const rows = disk.flatMap((one) => [[one.root, ""], ["free", `${quantity(one.free_bytes, "B")} of ${quantity(one.size_bytes, "B")}`], ["lasts, at this rate", one.lasts_s === null ? "nothing is written" : duration(one.lasts_s)]]);
  const fullest = disk.reduce((best, one) => Math.max(best, one.size_bytes ? 1 - one.free_bytes / one.size_bytes : 0), 0);
  return { title: "Disk", rows, meter: { share: fullest, level: fullest > 0.9 ? "bad" : null, label: "Disk in use" } };
}

function ringFacts({ rings, ring }) {
  if (!rings?.length && !ring) return null;
  const rows = [];
  if (ring) rows.push(["images in it", `${number(ring.n_images)} of ${number(ring.n_slots)}`], ["past in it", duration(ring.seconds)], ["newest image", ring.newest_age_s === null ? "none" : `${number(ring.newest_id)}, ${duration(ring.newest_age_s)} ago`]);
  for (const one of rings ?? []) for (const [reader, lag] of Object.entries(one.lag)) rows.push([`${reader} (${one.kind})`, `${number(lag)} behind`]);
  const most = Math.max(0, ...(rings ?? []).map(({ occupancy }) => occupancy));
  return { title: "Rings", rows, meter: { share: most, level: most > 0.8 ? "bad" : null, label: "The slowest reader is behind by" } };
}

function brokerFacts({ broker }) {
  if (!broker || broker.is_usable === null) return null;
  return { title: "Broker", rows: [["messages pass", broker.is_usable ? "yes" : "no"], ...(broker.problem ? [["problem", broker.problem]] : []), ["statuses that wait", number(broker.n_waiting)]] };
}

function writerFacts({ writers }) {
  if (!writers || !Object.keys(writers.states).length) return null;
  return { title: "Writers", rows: [...Object.entries(writers.states), ["written", `${number(writers.images)} images, ${quantity(writers.bytes, "B")}`], ["lost", number(writers.lost)]] };
}

function replicationFacts({ replication }) {
  if (!uses(replication)) return null;
  const rows = [["sent", number(replication.sent)], ["lost", number(replication.lost)], ["sessions", number(replication.n_sessions)]];
  if (replication.n_sources !== null) rows.push(["senders that answer", number(replication.n_sources)]);
  for (const [receiver, lag] of Object.entries(replication.lag)) rows.push([receiver, `${number(lag)} wait`]);
  return { title: "Replication", rows };
}
