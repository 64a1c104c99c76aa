// The history of runs: files, verdicts, pictures, and a search.
import { h, say, table } from "./elements.js";
import { clock, number } from "./words.js";

const SEARCH_MS = 300;
const PICTURE = 96;
const MOST_TOLD = 100;
const LEVELS = { complete: "ok", incomplete: "warn", killed: "warn", failed: "bad", refused: "bad" };

/** Return how a run ended, or its state, as a badge. */
export function verdictBadge(run) {
  return h("span", { class: "badge", dataset: { level: LEVELS[run.verdict] ?? "ok" } }, run.verdict ?? run.state);
}

/** Return the history: {element, refresh(), take(run), focus(), close()}. `onopen(run)` is called for a run that is chosen. */
export function runHistory(context, onopen) {
  const pictures = new Map(); // null: there is none
  const loading = new Set();
  const search = h("input", { type: "search", placeholder: "file, user, sample, verdict …", "aria-label": "Search in the runs", value: context.parameters.search ?? "" });
  const complaint = h("p", { class: "complaint", role: "status", hidden: true });
  const more = h("button", { class: "quiet", hidden: true, onclick: () => load(true) }, "Older runs");
  const list = table([
    { title: "", cell: (run) => pictureOf(run) },
    { title: "File", cell: (run) => h("span", { class: "file" }, h("b", { class: "mono" }, run.output_file || "–"), h("small", { class: "muted" }, [run.sample_name, run.user_name].filter(Boolean).join(" · "))) },
    { title: "Verdict", cell: (run) => h("span", { title: run.reason }, verdictBadge(run)) },
    { title: "Written", cell: (run) => number(run.n_written), align: "right" },
    { title: "Lost", cell: (run) => number(run.n_lost), align: "right" },
    { title: "Not good", cell: (run) => number(run.n_incomplete), align: "right" },
    { title: "When", cell: (run) => clock(Date.parse(run.accepted_at) / 1000) },
  ], { empty: "No runs.", onrow: onopen, key: (run) => run.request_id });
  const element = h("section", { class: "card run-history", "aria-label": "History of runs" },
    h("div", { class: "row" }, h("h2", { class: "grow" }, "History"), search), complaint, list.element, h("div", { class: "row ends" }, more));
  const watcher = new IntersectionObserver((entries) => entries.filter(({ isIntersecting }) => isIntersecting).forEach(({ target }) => loadPicture(target)));
  let runs = [];
  let before = null;
  const told = new Map(); // state of each run that was told, newest last
  let timer = null;
  let isTyping = false;
  let asking = null;
  let isClosed = false;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = null;
    isTyping = true;
    later();
  });

  /** Ask anew a moment later; what comes meanwhile does not put it off. */
  function later() {
    timer ??= setTimeout(() => {
      timer = null;
      if (isTyping) context.keep({ search: search.value || null });
      isTyping = false;
      load(false);
    }, SEARCH_MS);
  }

  async function load(isMore) {
    asking?.abort();
    asking = new AbortController();
    const { signal } = asking;
    try {
      const page = await context.api("runs", { query: { search: search.value, before: isMore ? before : null }, signal });
      if (signal.aborted || isClosed) return null;
      runs = isMore ? [...runs, ...page.runs] : page.runs;
      before = page.before;
      more.hidden = before === null;
      say(more, page.runs.length || !search.value ? "Older runs" : "Search in older runs");
      complaint.hidden = !page.problem;
      say(complaint, page.problem);
      draw();
      return runs;
    } catch (error) {
      if (!signal.aborted) {
        complaint.hidden = false;
        say(complaint, error.message);
      }
      return null;
    }
  }

  function draw() {
    watcher.disconnect();
    list.fill(runs);
    for (const image of list.element.querySelectorAll("img.thumbnail:not([src])")) watcher.observe(image);
  }

  function pictureOf(run) {
    if (run.state !== "ended" || !run.n_written) return "";
    const url = pictures.get(run.request_id);
    if (url === null) return "";
    return h("img", { class: "thumbnail", alt: "", width: 48, height: 48, dataset: { run: run.request_id }, src: url });
  }

  async function loadPicture(image) {
    watcher.unobserve(image);
    const id = image.dataset.run;
    if (pictures.has(id) || loading.has(id)) return;
    loading.add(id);
    // The list may be filled anew meanwhile, and has other elements then.
    const places = () => [...list.element.querySelectorAll("img.thumbnail")].filter((one) => one.dataset.run === id);
    try {
      const picture = await context.api(`runs/${id}/thumbnail`, { as: "blob", query: { size: PICTURE } });
      if (isClosed) return;
      pictures.set(id, URL.createObjectURL(picture));
      for (const shown of places()) shown.src = pictures.get(id);
    } catch {
      pictures.set(id, null);
      for (const shown of places()) shown.remove();
    } finally {
      loading.delete(id);
    }
  }

  function take(run) {
    if (told.get(run.request_id) === run.state) return;
    told.delete(run.request_id);
    told.set(run.request_id, run.state);
    if (told.size > MOST_TOLD) told.delete(told.keys().next().value);
    const known = runs.findIndex(({ request_id: id }) => id === run.request_id);
    if (known < 0 || run.state === "ended") later();
    else if (runs[known].state !== run.state) {
      runs[known] = { ...runs[known], ...run, place: runs[known].place };
      draw();
    }
  }

  return {
    element,
    refresh: () => load(false),
    take,
    focus: () => search.focus(),
    close: () => {
      isClosed = true;
      clearTimeout(timer);
      asking?.abort();
      watcher.disconnect();
      for (const url of pictures.values()) if (url) URL.revokeObjectURL(url);
    },
  };
}
