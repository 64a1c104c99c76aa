// The map of modules: where each lies in the image, coloured by what was lost.
import { choice, h, say } from "./elements.js";
import { number } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const MEASURES = [
  ["lost", "lost packets, last minute"], ["kernel_drops", "kernel drops, last minute"], ["frames_incomplete", "incomplete frames, last minute"],
  ["rejected", "rejected packets, last minute"], ["total", "lost packets since the start"], ["frames_ahead", "frames ahead or behind"],
];
// Steps of the share that is lost: from which on, words, class.
const STEPS = [[0.01, "1 % or more", "s4"], [0.001, "0.1 % or more", "s3"], [0.0001, "0.01 % or more", "s2"], [1e-12, "less", "s1"], [0, "nothing", "s0"]];

/** Make the map: {element, draw(modules)}. `initial` is the measure; `onchange(measure)` tells of another. */
export function moduleMap({ positions, initial, onchange }) {
  let measure = MEASURES.some(([name]) => name === initial) ? initial : "lost";
  let modules = [];
  const drawing = document.createElementNS(SVG, "svg");
  drawing.setAttribute("role", "group");
  drawing.setAttribute("aria-label", "Map of the modules");
  drawing.classList.add("module-map");
  const words = h("p", { class: "small mono map-words", "aria-live": "off" }, "");
  const legend = h("div", { class: "map-legend small" }, STEPS.toReversed().map(([, text, name]) => h("span", {}, h("i", { class: name }), text)));
  const chooser = choice(MEASURES, measure, (value) => {
    measure = value;
    onchange(value);
    draw(modules);
  }, { "aria-label": "What the map shows" });
  const element = h("div", { class: "map" }, h("div", { class: "row" }, chooser), drawing, legend, words);
  const cells = new Map();

  function place(list) {
    const corners = Object.fromEntries(list.map(({ module }, i) => [module, positions[module] ?? [i % columnsOf(list), Math.floor(i / columnsOf(list)), i % columnsOf(list), Math.floor(i / columnsOf(list))]]));
    const boxes = Object.entries(corners).map(([module, [x0, y0, x1, y1]]) => [Number(module), Math.min(x0, x1), Math.min(y0, y1), Math.abs(x1 - x0) + 1, Math.abs(y1 - y0) + 1]);
    const width = Math.max(...boxes.map(([, x, , w]) => x + w));
    const height = Math.max(...boxes.map(([, , y, , hh]) => y + hh));
    const margin = Math.max(width, height) / 400;
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.replaceChildren();
    cells.clear();
    for (const [module, x, y, w, hh] of boxes) {
      const group = document.createElementNS(SVG, "g");
      group.setAttribute("tabindex", "0");
      group.setAttribute("role", "img");
      const box = shape("rect", { x: x + margin, y: y + margin, width: Math.max(1e-3, w - 2 * margin), height: Math.max(1e-3, hh - 2 * margin), rx: margin * 2 });
      const size = Math.min(hh * 0.42, w * 0.16, Math.max(width, height) * 0.06);
      const label = shape("text", { x: x + w / 2, y: y + hh / 2, "font-size": size, "text-anchor": "middle", "dominant-baseline": "central" });
      const name = shape("text", { x: x + 3 * margin + size * 0.2, y: y + 3 * margin + size * 0.15, "font-size": size * 0.6, "dominant-baseline": "hanging", class: "name" });
      name.textContent = module;
      group.append(box, name, label);
      for (const kind of ["pointerenter", "focus"]) group.addEventListener(kind, () => say(words, group.getAttribute("aria-label")));
      drawing.append(group);
      cells.set(module, { group, label });
    }
  }

  function draw(next) {
    modules = next;
    element.hidden = !modules.length;
    if (!modules.length) return;
    if (modules.length !== cells.size || modules.some(({ module }) => !cells.has(module))) place(modules);
    for (const one of modules) {
      const { group, label } = cells.get(one.module);
      const { value, share } = valueOf(one, measure);
      group.setAttribute("class", `cell ${STEPS.find(([from]) => share >= from)[2]}`);
      label.textContent = value ? number(value) : "";
      const { total, recent } = one;
      group.setAttribute("aria-label", `module ${one.module}: last minute ${number(recent.received)} received, ${number(recent.lost)} lost, ${number(recent.kernel_drops)} dropped by the kernel; since the start ${number(total.lost)} lost`);
    }
  }

  draw([]);
  return { element, draw };
}

function columnsOf(list) {
  return Math.ceil(Math.sqrt(list.length));
}

function valueOf(module, measure) {
  if (measure === "frames_ahead") return { value: module.frames_ahead, share: module.frames_ahead ? 1 : 0 };
  const { recent, total } = module;
  if (measure === "total") return { value: total.lost, share: shareOf(total.lost, total.received) };
  const of = measure === "frames_incomplete" ? recent.frames_complete : recent.received;
  return { value: recent[measure] ?? 0, share: shareOf(recent[measure] ?? 0, of ?? 0) };
}

function shareOf(lost, received) {
  return lost ? lost / (lost + received) : 0;
}

function shape(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}
