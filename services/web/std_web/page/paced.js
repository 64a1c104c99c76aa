// What a panel shows live: a socket that is asked for the next message when the last one is drawn, and its state in words.
import { h, say } from "./elements.js";
import { decodeArrays } from "./arrays.js";
import { duration } from "./words.js";

const STALE_S = 5;

/**
 * Ask for messages at a pace: {element, view(wish), isFrozen, freeze(on), close()}.
 *
 * `draw({header, arrays})` is called for each message, `words()` tells what is usual while messages come.
 */
export function paced(context, path, { draw, pace = 100, view = () => null, noun = "image" }) {
  const element = h("span", { class: "badge paced", role: "status", dataset: { level: "warn", word: "connecting" } }, "connecting");
  let source = { word: "connecting", message: "" };
  let newest = null;
  let isFrozen = false;
  let held = null; // a message that was on its way when the picture was frozen
  let mayPass = false; // another wish is answered also while frozen
  let timer = null;
  const show = () => {
    const age = newest === null ? null : (performance.now() - newest) / 1000;
    let [word, level, words] = ["live", "ok", "live"];
    if (isFrozen) [word, level, words] = ["frozen", "warn", "frozen"];
    else if (!link.isOpen()) [word, level, words] = ["connecting", "warn", "connecting"];
    else if (source.word !== "live") [word, level, words] = [source.word, "warn", source.message || source.word];
    else if (age === null) [word, level, words] = ["waiting", "warn", `no ${noun} yet`];
    else if (age > STALE_S) [word, level, words] = ["stale", "warn", `no ${noun} for ${duration(age)}`];
    element.dataset.word = word;
    element.dataset.level = level;
    element.title = words;
    say(element, words);
  };
  const next = () => (!isFrozen || mayPass) && link.send({ type: "next" });
  const take = (buffer) => {
    newest = performance.now();
    draw(decodeArrays(buffer));
    show();
  };
  const link = context.socket(path, {
    open() {
      const wish = view();
      if (wish) link.send({ type: "view", ...wish });
      next();
      show();
    },
    text(message) {
      source = message;
      show();
    },
    binary(buffer) {
      if (isFrozen && !mayPass) {
        held = buffer;
        return;
      }
      mayPass = false;
      take(buffer);
      clearTimeout(timer);
      timer = setTimeout(() => requestAnimationFrame(next), pace);
    },
    lost: () => show(),
  });
  const clockwork = setInterval(show, 500);
  return {
    element,
    get isFrozen() { return isFrozen; },
    view(wish) {
      held = null;
      mayPass = isFrozen;
      link.send({ type: "view", ...wish });
      if (isFrozen) next();
    },
    freeze(on) {
      isFrozen = on;
      mayPass = false;
      if (!on && held) take(held);
      held = null;
      if (!on) next();
      show();
    },
    close() {
      clearTimeout(timer);
      clearInterval(clockwork);
      link.close();
    },
  };
}

/** Call `ask` at once and then each `period` ms after it has answered; returns {now(), close()}. */
export function repeated(ask, period) {
  let timer = null;
  let closed = false;
  const turn = async () => {
    clearTimeout(timer);
    try {
      await ask();
    } catch (error) {
      if (!["Refused", "Unreachable"].includes(error.constructor.name)) console.error(error); // the banner tells of these
    }
    if (!closed) timer = setTimeout(turn, period);
  };
  turn();
  return {
    now: turn,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}
