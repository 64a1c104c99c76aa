// The runs that go on: how far they are, how long they will still take, and the button that ends them.
import { dialog, h, note, say } from "./elements.js";
import { clock, duration, number } from "./words.js";

const WORDS = { sent: "sent to the broker", queued: "waits", started: "is written" };

/** Return the list of runs that have not ended: {element, take(run), clear(), close()}. */
export function runProgress(context) {
  const shown = new Map();
  const none = h("p", { class: "muted" }, "No run goes on.");
  const list = h("div", { class: "going" });
  let focused = null; // the run whose button had the focus when all were told anew
  const element = h("section", { class: "card", "aria-label": "Runs that go on" }, h("h2", {}, "Now"), none, list);

  function take(run) {
    const line = shown.get(run.request_id);
    if (run.state === "ended") {
      line?.element.remove();
      shown.delete(run.request_id);
    } else if (line) line.draw(run);
    else {
      const made = lineOf(context, run);
      shown.set(run.request_id, made);
      list.append(made.element);
      if (run.request_id === focused && document.activeElement === document.body) made.focus();
      if (run.request_id === focused) focused = null;
    }
    none.hidden = shown.size > 0;
  }

  function clear() {
    focused = document.activeElement.closest?.(".run-line")?.dataset.run ?? null;
    shown.clear();
    list.replaceChildren();
    none.hidden = false;
  }

  return { element, take, clear, close: clear };
}

function lineOf(context, run) {
  let newest = run;
  const file = h("b", { class: "mono" });
  const state = h("span", { class: "badge", dataset: { level: "ok" } });
  const bar = h("progress", { "aria-label": "Progress of the run" });
  const numbers = h("span", { class: "numbers" });
  const left = h("span", { class: "left muted" });
  const message = h("p", { class: "muted small" });
  const kill = h("button", { class: "danger", onclick: () => confirmKill() }, "Kill");
  const element = h("article", { class: "run-line", dataset: { run: run.request_id } },
    h("div", { class: "row" }, file, state, h("span", { class: "grow" }), kill), bar, h("div", { class: "row" }, numbers, h("span", { class: "grow" }), left), message);

  function draw(changed) {
    newest = changed;
    say(file, changed.output_file || changed.request_id);
    say(state, WORDS[changed.state]);
    const total = changed.n_requested;
    if (total) {
      bar.max = total;
      bar.value = Math.min(changed.n_written + changed.n_lost, total);
    } else if (changed.state !== "started") bar.removeAttribute("value");
    const lost = changed.n_lost ? `, ${number(changed.n_lost)} lost` : "";
    say(numbers, `${number(changed.n_written)}${total ? ` of ${number(total)}` : ""} written${lost}`);
    const rate = changed.images_per_second === null ? "" : `${number(changed.images_per_second, 3)} /s`;
    const time = changed.seconds_left === null ? "" : `${duration(changed.seconds_left)} left, until ${clock(Date.now() / 1000 + changed.seconds_left)}`;
    say(left, [rate, time].filter(Boolean).join(" · "));
    say(message, changed.message);
  }

  async function confirmKill() {
    const answer = await dialog({
      title: "Kill this run?",
      content: [h("p", { class: "mono" }, newest.output_file), h("p", {}, "It ends now. The images that came are still written.")],
      buttons: [{ value: "kill", words: "Kill the run", kind: "danger" }],
    });
    if (answer !== "kill") return;
    kill.disabled = true;
    try {
      await context.api(`runs/${run.request_id}/kill`, { method: "POST" });
    } catch (error) {
      note(`The kill was not sent: ${error.message}`, "bad");
      kill.disabled = false;
    }
  }

  draw(run);
  return { element, draw, focus: () => kill.focus({ preventScroll: true }) };
}
