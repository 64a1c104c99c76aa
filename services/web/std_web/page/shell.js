// The frame around the views: chooser of detectors, views, token, theme, the banner if the server is away, keys.
import * as address from "./address.js";
import { dialog, fillKeyed, h, note, say } from "./elements.js";
import { addressOf, lock, LOCKED, reach, Refused, request, socket, token, Unreachable } from "./server.js";
import { clock, duration } from "./words.js";

const STATUS_PERIOD_MS = 2000;
const STATUS_TIMEOUT_MS = 8000;
const LOCKED_PERIOD_MS = 3000;
const PANELS = { telescope: () => import("./panel_telescope.js"), tpc: () => import("./panel_tpc.js"), photons: () => import("./panel_photons.js") };
const VIEWS = [
  { name: "state", words: "State", key: "1", module: () => import("./state.js"), for: () => true },
  { name: "image", words: "Image", key: "2", module: () => import("./image.js"), for: ({ system }) => system === "images" },
  { name: "runs", words: "Runs", key: "3", module: () => import("./runs.js"), for: ({ system }) => ["images", "tpc"].includes(system) },
  { name: "panel", words: "Panel", key: "4", module: panelModule, for: ({ system }) => system in PANELS },
];

let detectors = [];
let shown = null; // {name, detector, view, parts}
let turn = 0;
// Keys that were pressed before there was a view that could answer them.
const earlyKeys = [];
const MOST_EARLY_KEYS = 20;
const element = (id) => document.getElementById(id);

function panelModule(detector) {
  return PANELS[detector.system]();
}

/** The state of the chosen detector, asked for all views at once. */
const status = {
  latest: null,
  listeners: new Set(),
  subscribe(listener) {
    status.listeners.add(listener);
    if (status.latest) listener(status.latest);
    return () => status.listeners.delete(listener);
  },
};

async function listDetectors() {
  const answer = await request(addressOf("/detectors"));
  return answer.detectors ?? answer;
}

async function start() {
  element("theme").addEventListener("click", () => window.switchTheme());
  document.addEventListener("themechange", labelTheme);
  labelTheme();
  token.addEventListener("change", labelToken);
  token.addEventListener("change", showLock);
  lock.addEventListener("change", showLock);
  element("unlock").addEventListener("click", () => token.ask(LOCKED));
  element("token").addEventListener("click", changeToken);
  labelToken();
  element("keys").addEventListener("click", showKeys);
  element("detector").addEventListener("change", (event) => navigate(shown?.view ?? "state", {}, event.target.value));
  element("pill").addEventListener("click", (event) => {
    event.preventDefault();
    navigate("state");
  });
  reach.addEventListener("change", showReach);
  addEventListener("popstate", () => show());
  addEventListener("keydown", onKey);
  setInterval(showReach, 1000);
  await untilListed();
  await show();
  // What was shown while the console was locked lacks what it asked for.
  lock.addEventListener("change", () => !lock.isClosed && show());
  pollStatus();
}

async function untilListed() {
  for (;;) {
    try {
      detectors = await listDetectors();
      return;
    } catch (error) {
      if (lock.isClosed) await whenItMayBeOpen();
      else {
        if (!(error instanceof Unreachable)) note(error.message, "bad");
        await new Promise((wait) => setTimeout(wait, 1000));
      }
    }
  }
}

/** Show what the address says. */
async function show() {
  const mine = ++turn;
  element("view").setAttribute("aria-busy", "true");
  const parameters = address.parameters();
  const listed = detectors.find(({ name }) => name === parameters.detector) ?? detectors[0];
  if (!listed) {
    element("view").replaceChildren(h("p", { class: "empty" }, "std-web was given no configuration of a detector."));
    return ready();
  }
  const detector = { ...listed, ...(await request(addressOf("/detectors/" + encodeURIComponent(listed.name))).catch(() => ({}))) };
  if (mine !== turn) return;
  const views = VIEWS.filter((view) => view.for(detector));
  const view = views.find(({ name }) => name === parameters.view) ?? views[0];
  fillBar(detector, views, view);
  shown?.parts?.close?.();
  if (shown?.detector.name !== detector.name) status.latest = null;
  const mineShown = { view: view.name, detector, parts: null };
  shown = mineShown;
  const place = h("div", { class: `view view-${view.name}` });
  element("view").replaceChildren(place);
  document.title = `${detector.name} · ${view.words} · std-daq`;
  try {
    const module = await view.module(detector);
    if (shown !== mineShown) return;
    const parts = await module.show(place, contextOf(detector, view.name, parameters));
    // Another view may be shown by then, and nobody would end the sockets and clocks of this one.
    if (shown !== mineShown) return void parts.close?.();
    mineShown.parts = parts;
  } catch (error) {
    console.error(error);
    if (shown !== mineShown) return;
    mineShown.parts = {};
    place.replaceChildren(h("p", { class: "empty" }, `This view cannot be shown: ${error.message}`));
  }
  if (mine === turn) ready();
}

/** Tell that the view is there, and answer the keys that were pressed before. */
function ready() {
  element("view").removeAttribute("aria-busy");
  while (earlyKeys.length && shown?.parts) onKey(earlyKeys.shift());
}

function contextOf(detector, view, parameters) {
  return {
    detector,
    parameters,
    token,
    status,
    api: (path, options) => request(addressOf(path, detector.name), options),
    address: (path) => addressOf(path, detector.name),
    socket: (path, handlers) => socket(addressOf(path, detector.name), handlers),
    navigate: (other, values = {}) => navigate(other, values),
    keep: (changes) => shown?.detector.name === detector.name && shown.view === view && address.keep(changes),
  };
}

function navigate(view, parameters = {}, detector = shown?.detector.name) {
  address.go({ detector, view, ...parameters });
  // At once, as the focus may be somewhere else when the view is there. Who goes through the detectors stays in their list.
  if (document.activeElement !== element("detector")) element("view").focus({ preventScroll: true });
  show();
}

function fillBar(detector, views, view) {
  const chooser = element("detector");
  fillKeyed(chooser, detectors.map(({ name }) => [name, h("option", { value: name }, name)]));
  chooser.value = detector.name;
  fillKeyed(element("views"), views.map(({ name, words, key }) => [name, h("a", {
    href: address.addressOf({ detector: detector.name, view: name }),
    "aria-current": name === view.name ? "page" : null,
    title: `${words} (${key})`,
    onclick: (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      navigate(name);
    },
  }, words)]));
}

/** Wait for a token, or for some seconds: the console may have been started again without a lock. */
function whenItMayBeOpen() {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      token.removeEventListener("change", done);
      resolve();
    };
    const timer = setTimeout(done, LOCKED_PERIOD_MS);
    token.addEventListener("change", done);
  });
}

/** Tell that nothing is shown without the token, once somebody has not given it. */
function showLock() {
  const isLocked = lock.isClosed && !token.get();
  element("lock").hidden = !isLocked;
  if (!isLocked || shown) return;
  element("view").replaceChildren(h("p", { class: "empty" }, LOCKED));
  element("view").removeAttribute("aria-busy");
}

async function pollStatus() {
  for (;;) {
    if (lock.isClosed && !token.get()) await whenItMayBeOpen();
    if (shown) {
      const name = shown.detector.name;
      try {
        const latest = await request(addressOf("status", name), { timeout: STATUS_TIMEOUT_MS });
        if (shown.detector.name === name) {
          status.latest = latest;
          showPill(latest.fine ? "ok" : "bad", latest.fine ? "fine" : latest.summary ?? "not fine");
          for (const listener of [...status.listeners]) listener(latest);
        }
      } catch (error) {
        if (error instanceof Refused) showPill("unknown", "unknown");
        else if (!(error instanceof Unreachable)) console.error(error);
      }
    }
    await new Promise((wait) => setTimeout(wait, reach.ok ? STATUS_PERIOD_MS : 1000));
  }
}

function showPill(level, words) {
  element("pill").dataset.level = level;
  say(element("pill-words"), words);
  element("pill").title = words;
}

function showReach() {
  const banner = element("banner");
  if (reach.ok) {
    if (!banner.hidden) note("The console answers again.");
    banner.hidden = true;
    delete document.body.dataset.away;
    return;
  }
  document.body.dataset.away = "";
  showPill("unknown", "not reachable");
  const words = `The console has not answered since ${clock(reach.since)}. What you see is older. The page connects again by itself.`;
  say(banner, words);
  banner.title = duration(Date.now() / 1000 - reach.since);
  banner.hidden = false;
}

function labelTheme() {
  const dark = document.documentElement.dataset.theme === "dark";
  say(element("theme"), dark ? "☾" : "☀");
  element("theme").setAttribute("aria-label", dark ? "Switch to the light theme" : "Switch to the dark theme");
  element("theme").title = element("theme").getAttribute("aria-label");
}

function labelToken() {
  const words = token.get() ? "Forget the token" : "Enter the token";
  say(element("token"), token.get() ? "unlocked" : "locked");
  element("token").setAttribute("aria-label", words);
  element("token").title = words;
}

async function changeToken() {
  if (token.get()) token.set(null);
  else await token.ask("With the token, this tab may change things: start and kill runs, and configure.");
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input:not([type=range], [type=checkbox]), select, textarea")) return;
  // These move a slider that has the focus.
  if (event.target.closest?.("input[type=range]") && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  const link = [...document.querySelectorAll("#views a")].find(({ title }) => title.endsWith(`(${event.key})`));
  if (link) link.click();
  else if (event.key === "?") showKeys();
  else if (!shown?.parts) earlyKeys.push(event), earlyKeys.splice(0, earlyKeys.length - MOST_EARLY_KEYS);
  else if (shown?.parts?.onKey?.(event)) event.preventDefault();
}

function showKeys() {
  const keys = [...VIEWS.filter((view) => view.for(shown?.detector ?? {})).map(({ key, words }) => [key, words]), ["?", "These keys"], ...(shown?.parts?.keys ?? [])];
  dialog({
    title: "Keys",
    content: h("dl", { class: "keys" }, keys.map(([key, words]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, words)])),
    buttons: [{ value: "ok", words: "Close", kind: "main" }],
  });
}

start();
