// The view of runs: start one, follow and kill those that go on, and look at those that were.
import { h, loadStyle, note, say } from "./elements.js";
import { runDetails } from "./run_details.js";
import { runForm } from "./run_form.js";
import { runHistory } from "./run_history.js";
import { runProgress } from "./run_progress.js";

const MOST_TOLD = 100;

/** Show the runs of a detector. */
export async function show(element, context) {
  await loadStyle("runs.css");
  return new RunsView(element, context);
}

class RunsView {
  constructor(element, context) {
    this.context = context;
    this.desk = h("p", { class: "complaint desk", role: "status", hidden: true });
    this.details = runDetails(context);
    this.progress = runProgress(context);
    this.history = runHistory(context, (run) => this.open(run.request_id, true));
    this.told = new Map();
    // A status may come before the answer to the request.
    this.form = runForm(context, (run) => this.take(this.told.get(run.request_id) ?? run));
    element.append(
      h("h1", { class: "unseen" }, `Runs of ${context.detector.name}`), this.desk,
      h("div", { class: "runs-grid" },
        h("div", { class: "runs-main" }, this.progress.element, this.details.element, this.history.element),
        h("div", { class: "runs-side" }, this.form.element)));
    this.socket = context.socket("runs/live", {
      open: () => this.begin(),
      text: (message) => (message.type === "run" ? this.hear(message.run) : this.tellDesk(message)),
    });
    this.history.refresh().then((runs) => this.form.suggest(runs?.[0]?.output_file));
    if (context.parameters.run) this.open(context.parameters.run);
    this.keys = [["n", "new run: to the name of the file"], ["/", "search in the history"]];
  }

  /** Begin anew after a connection: the runs that go on are told again, those that ended meanwhile are not. */
  begin() {
    this.progress.clear();
    this.history.refresh();
    this.details.refresh();
  }

  hear(run) {
    this.told.delete(run.request_id);
    this.told.set(run.request_id, run);
    if (this.told.size > MOST_TOLD) this.told.delete(this.told.keys().next().value);
    this.take(run);
  }

  /** Take what is told of a run. */
  take(run) {
    this.progress.take(run);
    this.history.take(run);
    this.details.take(run);
    if (run.state === "ended" && run.request_id === this.form.started) {
      this.form.started = null;
      note(`The run has ended: ${run.verdict}.`, run.verdict === "complete" ? "ok" : "bad");
      this.open(run.request_id);
    }
  }

  tellDesk({ is_connected: isConnected, problem }) {
    this.desk.hidden = isConnected;
    say(this.desk, isConnected ? "" : `Runs can be neither started nor followed: ${problem}`);
  }

  open(requestId, isAsked = false) {
    this.context.keep({ run: requestId });
    this.details.open(requestId, isAsked);
  }

  onKey(event) {
    if (event.key === "n") this.form.focus();
    else if (event.key === "/") this.history.focus();
    else return false;
    event.preventDefault();
    return true;
  }

  close() {
    this.socket.close();
    this.form.close();
    this.progress.close();
    this.history.close();
    this.details.close();
  }
}
