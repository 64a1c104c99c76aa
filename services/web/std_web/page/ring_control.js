// Freeze, and the way back through the images that are still in the ring.
import { h, say } from "./elements.js";
import { duration, number } from "./words.js";

/** Make the control: {element, position(), take(header), takeRing(ring), toggle(), step(n)}; `onchange()` after each change of the position. */
export function ringControl({ initial, onchange }) {
  let position = Number.isInteger(initial) ? initial : null; // null: the newest
  let ring = null;
  let shown = null;
  const freeze = h("button", { type: "button", title: "Freeze, and go on (Space)", onclick: toggle });
  const back = h("button", { type: "button", title: "Image before (,)", "aria-label": "Image before", onclick: () => step(-1) }, "◂");
  const on = h("button", { type: "button", title: "Image after (.)", "aria-label": "Image after", onclick: () => step(1) }, "▸");
  const slider = h("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Image of the ring", oninput: () => go(Number(slider.value)) });
  const words = h("span", { class: "muted small mono" });
  const element = h("div", { class: "ring row" }, freeze, back, on, slider, words);

  function toggle() {
    if (position === null && shown) go(shown.sequence);
    else if (position !== null) {
      position = null;
      write();
      onchange();
    }
  }

  /** Go to an image; one that has come since the ring was last told of may be asked for. */
  function go(sequence) {
    position = Math.max(0, sequence);
    write();
    onchange();
  }

  function step(n) {
    if (shown || position !== null) go((position ?? shown.sequence) + n);
  }

  function write() {
    const frozen = position !== null;
    say(freeze, frozen ? "Go live" : "Freeze");
    freeze.setAttribute("aria-pressed", String(frozen));
    if (!ring) return;
    const newest = Math.max(ring.newest, position ?? 0);
    Object.assign(slider, { min: Math.min(ring.oldest, position ?? ring.oldest), max: newest });
    slider.value = position ?? newest;
    slider.setAttribute("aria-valuetext", frozen ? `image ${position} of ${ring.oldest} to ${ring.newest}` : "the newest");
    const n = ring.newest - ring.oldest + 1;
    say(words, frozen ? `${number(newest - position)} ${newest - position === 1 ? "image" : "images"} ago` : `${number(n)} images${ring.seconds ? `, ${duration(ring.seconds)}` : ""} in the ring`);
  }

  function takeRing(next) {
    ring = next ?? ring;
    write();
  }

  write();
  return {
    element,
    position: () => position,
    toggle,
    step,
    takeRing,
    take(header) {
      shown = header;
      // The server has shown the oldest or the newest image where there is none of this number.
      // The ring is looked at a moment later than the image, so its oldest may be newer than the image by then.
      const { oldest, newest } = header.ring ?? {};
      const isOther = position !== null && header.ring && position !== header.sequence;
      const isLost = position < oldest && header.sequence > position && header.sequence <= oldest;
      if (isOther && (position > newest || isLost)) go(header.sequence);
      takeRing(header.ring);
    },
  };
}
