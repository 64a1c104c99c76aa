// Regions of interest: their list, and sum, mean or maximum of each over time.
import { oneOf } from "./address.js";
import { choice, fillKeyed, h, say } from "./elements.js";
import { plot, SERIES_COLOURS } from "./plot.js";
import { number } from "./words.js";

const KEPT_S = 180;
const MOST = 6;
const STATISTICS = [["sum", "sum"], ["mean", "mean"], ["max", "maximum"]];
// On the image, which is dark in both themes.
const ON_IMAGE = ["#7cc8ff", "#ffb770", "#8ff0c4", "#ffa6de", "#f3ea7c", "#c4bfff"];

/** Read regions from the address: x0,y0,x1,y1;… */
export function regionsOf(text) {
  return (text ?? "").split(";").map((part) => part.split(",").map(Number)).filter((corners) => corners.length === 4 && corners.every(Number.isInteger)).slice(0, MOST);
}

/** Make the list of regions: {element, corners(), add(corners), take(header), marks(), close()}; `onchange()` after each change. */
export function regionList({ initial, statistic = "sum", onchange, onzoom }) {
  let regions = initial.map((corners) => ({ corners, latest: null, slot: null }));
  let shown = oneOf(STATISTICS, statistic, "sum");
  let times = [];
  regions.forEach(giveSlot);
  const rows = h("div", { class: "regions" });
  const none = h("p", { class: "muted small" }, "Press “Region” or hold Shift, and draw a rectangle on the image.");
  const graph = plot({ title: "Over time", x: "time", zero: false, height: 110 });
  const chooser = choice(STATISTICS, shown, (value) => {
    shown = value;
    fillRows();
    draw();
    onchange();
  }, { "aria-label": "What is plotted over time" });
  const heading = h("div", { class: "row" }, h("span", { class: "muted small grow" }, "sum · mean · maximum"), chooser);
  const element = h("div", { class: "region-list" }, none, heading, rows, graph.element);

  function giveSlot(region) {
    const taken = new Set(regions.map(({ slot }) => slot));
    region.slot = [0, 1, 2, 3, 4, 5].find((slot) => !taken.has(slot));
    region.history = { sum: times.map(() => null), mean: times.map(() => null), max: times.map(() => null) };
  }

  function nameOf({ slot }) {
    return `R${slot + 1}`;
  }

  function fillRows() {
    none.hidden = regions.length > 0;
    heading.hidden = graph.element.hidden = !regions.length;
    fillKeyed(rows, regions.map((region) => [region.slot, (region.row ??= rowOf(region))]));
    regions.forEach(showLatest);
  }

  function rowOf(region) {
    const swatch = h("span", { class: "swatch" });
    swatch.style.background = `var(${SERIES_COLOURS[region.slot]})`;
    region.words = h("span", { class: "mono grow" });
    const [x0, y0, x1, y1] = region.corners;
    return h("div", { class: "region" }, swatch,
      h("button", { class: "quiet", type: "button", title: `Show x ${x0} to ${x1 - 1}, y ${y0} to ${y1 - 1}`, onclick: () => onzoom(region.corners) }, nameOf(region)),
      region.words,
      h("button", { class: "quiet", type: "button", "aria-label": `Remove ${nameOf(region)}`, onclick: () => remove(region) }, "✕"));
  }

  function showLatest(region) {
    if (region.words) say(region.words, region.latest ? `${number(region.latest.sum)} · ${number(region.latest.mean)} · ${number(region.latest.max)}` : "–");
  }

  function remove(region) {
    regions = regions.filter((other) => other !== region);
    fillRows();
    draw();
    onchange();
  }

  function draw() {
    graph.draw({
      x: times,
      series: regions.map((region) => ({ name: nameOf(region), y: region.history[shown], colour: SERIES_COLOURS[region.slot] })),
    });
  }

  fillRows();
  return {
    element,
    statistic: () => shown,
    corners: () => regions.map(({ corners }) => corners),
    marks: () => regions.map((region) => ({ corners: region.corners, name: nameOf(region), colour: ON_IMAGE[region.slot] })),
    add(corners) {
      if (regions.length >= MOST) return false;
      const region = { corners, latest: null, slot: null };
      regions.push(region);
      giveSlot(region);
      fillRows();
      onchange();
      return true;
    },
    /** Take the values of an image; each image counts once, and one of the past only in the list. */
    take(header) {
      const found = regions.map(({ corners }) => (header.rois ?? []).find((roi) => String(roi.region) === String(corners)) ?? null);
      const time = header.time_ns / 1e9;
      const isNewer = !times.length || time > times.at(-1);
      if (isNewer) times.push(time);
      regions.forEach((region, i) => {
        region.latest = found[i] ?? region.latest;
        if (isNewer) for (const name of ["sum", "mean", "max"]) region.history[name].push(found[i]?.[name] ?? null);
        showLatest(region);
      });
      const old = times.findIndex((one) => one >= times.at(-1) - KEPT_S);
      if (old > 0) {
        times = times.slice(old);
        for (const { history } of regions) for (const name of ["sum", "mean", "max"]) history[name] = history[name].slice(old);
      }
      draw();
    },
    close: () => graph.close(),
  };
}
