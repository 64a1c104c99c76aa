// One run: its verdict, its numbers, and where in it images were lost or are not good.
import { h, say } from "./elements.js";
import { plot } from "./plot.js";
import { verdictBadge } from "./run_history.js";
import { clock, duration, number } from "./words.js";

const MOST_BINS = 240;
const MOST_RANGES = 400;

/** Return the details of a run: {element, open(id), refresh(), take(run), close()}. */
export function runDetails(context) {
  const title = h("h2", { class: "grow mono", tabindex: "-1" });
  const badge = h("span");
  const reason = h("p", { class: "reason" });
  const facts = h("dl", { class: "facts" });
  const picture = h("img", { class: "picture", alt: "An image from the middle of the run", hidden: true });
  const graph = plot({ title: "Images lost and not good, over the run", x: "number", steps: true, zero: true, height: 130 });
  const ranges = h("p", { class: "mono small ranges" });
  const files = h("ul", { class: "mono small files" });
  const complaint = h("p", { class: "complaint", hidden: true });
  const element = h("section", { class: "card run-details", "aria-label": "One run", hidden: true },
    h("div", { class: "row" }, title, badge, h("button", { class: "quiet", "aria-label": "Close the details", onclick: () => hide() }, "✕")),
    complaint, reason, h("div", { class: "details-body" }, picture, facts), graph.element, ranges, files);
  let shown = null;
  let state = null;

  /** Show a run; `isAsked`: somebody has chosen it, and the focus goes to it. */
  async function open(requestId, isAsked = false) {
    const isOther = shown !== requestId;
    shown = requestId;
    let run;
    try {
      run = await context.api(`runs/${encodeURIComponent(requestId)}`);
    } catch (error) {
      if (shown !== requestId) return;
      element.hidden = false;
      complaint.hidden = false;
      say(title, "Run");
      say(complaint, error.message);
      return;
    }
    if (shown !== requestId) return;
    complaint.hidden = true;
    element.hidden = false;
    draw(run);
    if (isOther || state !== run.state) showPicture(run);
    state = run.state;
    if (isAsked) title.focus({ preventScroll: false });
  }

  function hide() {
    shown = null;
    element.hidden = true;
    context.keep({ run: null });
  }

  function draw(run) {
    say(title, run.output_file || run.request_id);
    badge.replaceChildren(verdictBadge(run));
    say(reason, run.reason || (run.state === "ended" ? "All images that were asked for are written." : run.message));
    const began = Date.parse(run.started_at ?? run.accepted_at) / 1000;
    const ended = Date.parse(run.ended_at) / 1000;
    fill(facts, [
      ["Written", `${number(run.n_written)}${run.n_requested ? ` of ${number(run.n_requested)}` : ""}`],
      ["Not good", number(run.n_incomplete)], ["Lost", number(run.n_lost)],
      ["Began", clock(began)], ["Took", duration(ended - began)], ["Asked by", run.sender || "–"],
      ["User", run.user_name ?? "–"], ["Sample", run.sample_name ?? "–"], ["Request", run.request_id],
      ...Object.entries(run.faults).map(([name, { n_images: n, modules }]) => [name.replaceAll("_", " "), `${number(n)}${modules.length ? ` (module ${modules.join(", ")})` : ""}`]),
    ]);
    drawGraph(run);
    const more = run.files_truncated ? [h("li", {}, `and ${run.files_truncated} more`)] : [];
    files.replaceChildren(...run.files.slice(0, 20).map((file) => h("li", {}, file)), ...(run.files.length > 20 ? [h("li", {}, `and ${run.files.length - 20} more`)] : []), ...more);
  }

  function drawGraph(run) {
    const lost = parsed(run.lost_image_ids);
    const bad = parsed(run.incomplete_image_ids);
    const hasAny = lost.length + bad.length > 0;
    graph.element.hidden = !hasAny;
    say(ranges, [run.lost_image_ids && `lost: ${cut(run.lost_image_ids)}`, run.incomplete_image_ids && `not good: ${cut(run.incomplete_image_ids)}`].filter(Boolean).join(" · "));
    if (!hasAny) return;
    const ends = [...lost, ...bad].flat();
    const low = Math.min(run.first_image_id ?? Infinity, ...ends);
    const high = Math.max(run.last_image_id ?? -Infinity, ...ends);
    const width = Math.max(1, Math.ceil((high - low + 1) / MOST_BINS));
    const n = Math.floor((high - low) / width) + 1;
    graph.draw({
      x: Array.from({ length: n }, (_, i) => low + i * width),
      from: low, to: high + 1,
      series: [{ name: "lost", y: counted(lost, low, width, n), colour: "--bad" }, { name: "not good", y: counted(bad, low, width, n), colour: "--warn" }],
      summary: `${number(run.n_lost)} lost and ${number(run.n_incomplete)} not good, of the images ${low} to ${high}`,
    });
  }

  async function showPicture(run) {
    URL.revokeObjectURL(picture.src);
    picture.hidden = true;
    if (run.state !== "ended" || !run.n_written) return;
    try {
      const blob = await context.api(`runs/${run.request_id}/thumbnail`, { as: "blob", query: { size: 256 } });
      if (shown !== run.request_id) return;
      picture.src = URL.createObjectURL(blob);
      picture.hidden = false;
    } catch {
      // Not every run has a picture.
    }
  }

  return {
    element,
    open,
    refresh: () => shown && state !== "ended" && open(shown),
    take: (run) => run.request_id === shown && (run.state === "ended" || run.state !== state) && open(shown),
    close: () => {
      shown = null;
      graph.close();
      URL.revokeObjectURL(picture.src);
    },
  };
}

function fill(list, rows) {
  list.replaceChildren(...rows.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))]));
}

const cut = (text) => (text.length > MOST_RANGES ? `${text.slice(0, text.lastIndexOf(",", MOST_RANGES))}, …` : text);

/** Return ranges of ids, "12-40,57", as [first, last]. */
export function parsed(text) {
  return text ? text.split(",").map((part) => part.split("-").map(Number)).map(([first, last]) => [first, last ?? first]) : [];
}

/** Return how many ids of ranges are in each bin. */
export function counted(ranges, low, width, n) {
  const counts = new Array(n).fill(0);
  for (const [first, last] of ranges) {
    for (let i = Math.floor((first - low) / width); i <= Math.floor((last - low) / width) && i < n; i += 1) {
      const begin = low + i * width;
      counts[i] += Math.min(last, begin + width - 1) - Math.max(first, begin) + 1;
    }
  }
  return counts;
}
