// The live image's dialogue with the server: what is wanted, one image at a time, and its state in words.
import { decode } from "./frame.js";
import { reach } from "./server.js";

const VIEW_WAIT_MS = 40; // a view that changes with each movement of the mouse is sent as often
const RATE_OVER_MS = 3000;
const LOST = "The connection to the console is lost; the page connects again by itself.";

/**
 * Follow a detector's images. `wanted()` returns what to ask for; `onimage(frame)`, `onstate(state)` and `onring(ring)` tell.
 * The state: {word: "connecting"|"live"|"stale"|"ended"|"refused", since, message}.
 */
export function follow(context, { wanted, onimage, onstate, onring }) {
  let sent = null;
  let timer = null;
  let outstanding = false;
  let told = { word: "connecting", since: Date.now() / 1000, message: "" }; // by the server
  let state = told;
  let refusal = null; // of what was asked for, or of what came, until the next image
  let problem = null; // of the connection, which hides what was told before
  const times = []; // when another image came
  let sequence = null; // of the image that came last

  function forgetOld() {
    while (times.length && times[0] < performance.now() - RATE_OVER_MS) times.shift();
  }

  /** Tell the state: what the server told, unless it cannot be heard. */
  function tell() {
    const newest = problem ?? refusal ?? told;
    if (newest === state) return;
    state = newest;
    onstate(state);
  }

  function lose(message) {
    outstanding = false;
    if (problem?.message !== message) problem = { word: "connecting", since: problem?.since ?? Date.now() / 1000, message };
    tell();
  }

  function sendView() {
    timer = null;
    const text = JSON.stringify(wanted());
    if (text === sent || !channel.isOpen()) return;
    sent = text;
    channel.send(JSON.parse(text));
    next();
  }

  function next() {
    if (outstanding) return;
    outstanding = channel.send({ type: "next" });
  }

  const channel = context.socket("live", {
    open() {
      sent = null;
      outstanding = false;
      sendView();
    },
    text(message) {
      problem = null;
      if (message.type === "state") told = message;
      else if (message.type === "ring") onring(message.ring);
      else if (message.type === "error") refusal = { word: "refused", since: Date.now() / 1000, message: message.detail };
      tell();
    },
    binary(data) {
      outstanding = false;
      problem = null;
      refusal = null;
      let frame;
      try {
        frame = decode(data);
      } catch (error) {
        // The next one would be no better; another view asks again.
        refusal = { word: "refused", since: Date.now() / 1000, message: error.message };
        tell();
        return;
      }
      // The same image comes again when the view or the cursor has moved.
      if (frame.header.sequence !== sequence) times.push(performance.now());
      sequence = frame.header.sequence;
      forgetOld();
      // Asked for at once, so that it is on its way while this one is drawn.
      next();
      onimage(frame);
      tell();
    },
    lost: (reason) => lose(reason ?? LOST),
  });
  // A console that hangs keeps its connections; the page's other requests notice it.
  const watch = () => {
    if (!reach.ok) lose(LOST);
    else if (channel.isOpen()) {
      problem = null;
      tell();
    }
  };
  reach.addEventListener("change", watch);
  onstate(state);
  return {
    /** Tell that something else is wanted. */
    changed() {
      timer ??= setTimeout(sendView, VIEW_WAIT_MS);
    },
    /** Return the images a second that came over the last three seconds. */
    rate: () => (forgetOld(), times.length > 1 ? ((times.length - 1) * 1000) / Math.max(1, times.at(-1) - times[0]) : 0),
    state: () => state,
    close() {
      reach.removeEventListener("change", watch);
      clearTimeout(timer);
      channel.close();
    },
  };
}
