// The limits of the colours: by hand, by percentile once, or by percentile of each image.
import { oneOf } from "./address.js";
import { choice, field, h } from "./elements.js";
import { number } from "./words.js";

/** Percentiles that one can choose: the lower, the upper. */
const CHOICES = [["1,99", "1 – 99 %"], ["1,99.9", "1 – 99.9 %"], ["0.1,99.99", "0.1 – 99.99 %"], ["0,100", "smallest – largest"]];
const USUAL = "1,99";

/**
 * Make the fields of the limits: {elements, take(header), set(limits), byPercentile(), address()}.
 *
 * The limits stay when the next image comes, unless `follow` is on. Without limits in the address, the first image that has
 * different values gives them, or the one that the address leaves out. `onchange()` is called after each change of `style.low`, `style.high`.
 */
export function limitsOf(parameters, style, onchange) {
  let percentiles = oneOf(CHOICES, parameters.percentile, USUAL);
  let follows = parameters.follow === "1";
  const given = { low: finiteOf(parameters.low), high: finiteOf(parameters.high) };
  let known = given.low !== null && given.high !== null;
  let header = null;
  Object.assign(style, known ? inOrder(given.low, given.high) : { low: 0, high: 1 });

  const low = h("input", { type: "number", step: "any", class: "limit", "aria-label": "Lower limit of the colours", onchange: byHand });
  const high = h("input", { type: "number", step: "any", class: "limit", "aria-label": "Upper limit of the colours", onchange: byHand });
  const chooser = choice(CHOICES, percentiles, (value) => {
    percentiles = value;
    byPercentile();
  }, { "aria-label": "Percentiles" });
  const once = h("button", { type: "button", title: "Limits by percentile of this image (a)", onclick: () => byPercentile() }, "Set");
  const each = h("button", { type: "button", "aria-pressed": String(follows), title: "Limits by percentile of each image", onclick: toggle }, "Follow");

  function byHand() {
    const [a, b] = [parseFloat(low.value), parseFloat(high.value)];
    if (Number.isFinite(a) && Number.isFinite(b)) set(inOrder(a, b));
    else write();
  }

  function set(limits, stays = true) {
    Object.assign(style, limits);
    known = true;
    if (stays) follow(false);
    write();
    onchange();
  }

  function follow(on) {
    follows = on;
    each.setAttribute("aria-pressed", String(on));
  }

  function toggle() {
    follow(!follows);
    if (follows) byPercentile(false);
    onchange();
  }

  function write() {
    if (document.activeElement !== low) low.value = rounded(style.low);
    if (document.activeElement !== high) high.value = rounded(style.high);
  }

  function byPercentile(stays = true) {
    const found = header && between(header, percentiles);
    if (found) set(found, stays && !follows);
  }

  write();
  return {
    elements: [
      h("div", { class: "row ends" }, field("Low", low), field("High", high)),
      h("div", { class: "row ends" }, h("div", { class: "grow" }, field("By percentile", chooser)), once, each),
    ],
    set,
    byPercentile,
    /** Take the header of an image; returns whether the limits are others. */
    take(next) {
      header = next;
      const before = `${style.low} ${style.high}`;
      if (follows || !known) {
        const found = between(header, percentiles, follows ? {} : given);
        if (found && (follows || found.high > found.low)) {
          Object.assign(style, found);
          known = true;
          write();
          onchange(false);
        }
      }
      return before !== `${style.low} ${style.high}`;
    },
    address: () => ({ low: known && !follows ? rounded(style.low) : null, high: known && !follows ? rounded(style.high) : null, percentile: percentiles === USUAL ? null : percentiles, follow: follows ? 1 : null }),
  };
}

function finiteOf(text) {
  const value = parseFloat(text);
  return Number.isFinite(value) ? value : null;
}

function inOrder(a, b) {
  return { low: Math.min(a, b), high: Math.max(a, b) };
}

/**
 * Return limits from the percentiles that the server gives: an object of them by name, or pairs. One that is given stays,
 * and the other is on its side.
 */
function between({ percentiles, min, max }, chosen, given = {}) {
  const pairs = (Array.isArray(percentiles) ? percentiles : Object.entries(percentiles ?? {})).map(([at, value]) => [Number(at), value]);
  if (min !== null && min !== undefined) pairs.push([0, min], [100, max]);
  const known = pairs.filter(([, value]) => Number.isFinite(value));
  if (!known.length) return null;
  const [low, high] = chosen.split(",").map((wanted) => {
    const nearest = known.reduce((best, pair) => (Math.abs(pair[0] - wanted) < Math.abs(best[0] - wanted) ? pair : best));
    return nearest[1];
  });
  if (Number.isFinite(given.high)) return { low: low < given.high ? low : given.high - 1, high: given.high };
  const first = given.low ?? low;
  return { low: first, high: high > first ? high : first + 1 };
}

function rounded(value) {
  return Number(value.toPrecision(6));
}

/** Return limits in words. */
export function limitWords({ low, high }) {
  return `${number(low)} to ${number(high)}`;
}
