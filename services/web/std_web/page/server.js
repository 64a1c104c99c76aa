// The ways to the server: requests, sockets that open again by themselves, the token, and whether the server answers.
import { dialog, field, h, note } from "./elements.js";

const TIMEOUT_MS = 30000;
const BASE = new URL("api/v1/", document.baseURI);
const TOKEN = "std-daq-token";
const NOT_ACCEPTED = "The console did not accept the token.";
export const LOCKED = "This console shows nothing without its token.";
const WAITS_MS = [300, 600, 1000, 2000, 3000];

/** A request that the server refused: `status`, `title`, `detail` and the whole `document` (RFC 9457). */
export class Refused extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `The server answered ${status}.`);
    Object.assign(this, { status, title: document.title, detail: document.detail, document });
  }
}

/** The server cannot be reached. */
export class Unreachable extends Error {}

/** Whether the server answers; "change" tells of each change. */
export const reach = Object.assign(new EventTarget(), { ok: true, since: Date.now() / 1000 });

function reached(ok) {
  if (reach.ok === ok) return;
  Object.assign(reach, { ok, since: Date.now() / 1000 });
  reach.dispatchEvent(new Event("change"));
}

/** Whether the console wants its token before it shows anything, and somebody has not given it; "change" tells of each change. */
export const lock = Object.assign(new EventTarget(), { isClosed: false });

function locked(isClosed) {
  if (lock.isClosed === isClosed) return;
  lock.isClosed = isClosed;
  lock.dispatchEvent(new Event("change"));
}

/** The token, kept for as long as the tab is open. */
export const token = Object.assign(new EventTarget(), {
  get: () => sessionStorage.getItem(TOKEN),
  set(value) {
    if (value) sessionStorage.setItem(TOKEN, value);
    else sessionStorage.removeItem(TOKEN);
    token.dispatchEvent(new Event("change"));
  },
  /** Ask for the token; resolves with it, or null. One dialog serves all who ask meanwhile. */
  ask(why = "This changes something, which needs the token of the console.") {
    asking ??= askOnce(why).finally(() => (asking = null));
    return asking;
  },
});
let asking = null;

async function askOnce(why) {
  const input = h("input", { type: "password", autocomplete: "off", spellcheck: "false", required: true, name: "token" });
  const answer = await dialog({
    title: "Token",
    content: [h("p", {}, why), field("Token", input, "It is in the file that std-web was given as --token-file. This tab keeps it until it is closed.")],
    buttons: [{ value: "ok", words: "Continue", kind: "main" }],
  });
  if (!answer) return null;
  token.set(input.value.trim());
  return token.get();
}

/** Return the whole address of a path below /api/v1, or of one below a detector. */
export function addressOf(path, detector = null) {
  const inside = path.startsWith("/") ? path.slice(1) : `detectors/${encodeURIComponent(detector)}/${path}`;
  return new URL(inside, BASE);
}

/**
 * Ask the server. `options`: method, body (an object is sent as JSON), headers, signal, query (an object), as
 * ("json"|"blob"|"buffer"|"text"|"response"), timeout (milliseconds), isReading (whether the page asks by itself; by default of a
 * GET). Throws Refused or Unreachable. A 401 asks for the token and tries once more. A GET does not ask again after somebody did
 * not give it, but sets `lock`; what else the page asks by itself never asks: it may need the token where reading needs none.
 */
export async function request(url, options = {}, again = true) {
  const { as = "json", query = {}, body = undefined, timeout = TIMEOUT_MS, signal, isReading = body === undefined && !options.method, ...rest } = options;
  const isGet = body === undefined && !options.method;
  const headers = { Accept: "application/json, */*", ...rest.headers };
  const target = new URL(url);
  for (const [name, value] of Object.entries(query)) if (value !== null && value !== undefined && value !== "") target.searchParams.set(name, value);
  const secret = token.get();
  if (secret) headers.Authorization = `Bearer ${secret}`;
  const sent = body !== undefined && !(body instanceof Blob) && typeof body !== "string" ? JSON.stringify(body) : body;
  if (sent !== body) headers["Content-Type"] = "application/json";
  const patience = AbortSignal.timeout(timeout);
  let response;
  try {
    response = await fetch(target, { signal: signal ? AbortSignal.any([signal, patience]) : patience, cache: "no-store", ...rest, method: rest.method ?? (body === undefined ? "GET" : "POST"), body: sent, headers });
  } catch (error) {
    if (signal?.aborted) throw error;
    reached(false);
    throw new Unreachable("The console does not answer.");
  }
  reached(true);
  if (response.status === 401) {
    // Another request may have brought another token meanwhile.
    const isRefused = secret && token.get() === secret;
    if (isRefused) token.set(null);
    const mayAsk = again && !(isReading && (lock.isClosed || !isGet));
    const why = secret ? NOT_ACCEPTED : isReading ? LOCKED : undefined;
    if (isRefused && !mayAsk) note(NOT_ACCEPTED, "bad");
    if (again && (token.get() || (mayAsk && (await token.ask(why))))) return request(url, options, false);
  }
  if (isGet) locked(response.status === 401);
  if (!response.ok) {
    const document = await response.json().catch(() => ({ title: response.statusText }));
    throw new Refused(response.status, document);
  }
  if (as === "response") return response;
  if (as === "blob") return response.blob();
  if (as === "buffer") return response.arrayBuffer();
  if (as === "text") return response.text();
  return response.status === 204 ? null : response.json();
}

/**
 * Open a WebSocket that opens again by itself. `handlers`: open(), text(object), binary(ArrayBuffer), lost(reason).
 * Returns {send(object), close(), isOpen()}. A token travels as a subprotocol, as browsers set no headers here.
 */
export function socket(url, handlers) {
  const target = new URL(url);
  target.protocol = target.protocol === "https:" ? "wss:" : "ws:";
  let current = null;
  let closed = false;
  let attempts = 0;
  let timer = null;
  const open = () => {
    clearTimeout(timer);
    const secret = token.get();
    const protocols = secret ? ["std-daq", `bearer.${base64url(secret)}`] : ["std-daq"];
    const mine = new WebSocket(target, protocols);
    current = mine;
    mine.binaryType = "arraybuffer";
    mine.onopen = () => {
      attempts = 0;
      reached(true);
      handlers.open?.();
    };
    mine.onmessage = ({ data }) => (typeof data === "string" ? handlers.text?.(JSON.parse(data)) : handlers.binary?.(data));
    mine.onclose = (event) => {
      if (closed || current !== mine) return;
      handlers.lost?.(event.reason || null);
      timer = setTimeout(open, WAITS_MS[Math.min(attempts++, WAITS_MS.length - 1)]);
    };
  };
  const hurry = () => reach.ok && !closed && current.readyState > 1 && open();
  reach.addEventListener("change", hurry);
  token.addEventListener("change", hurry);
  open();
  return {
    isOpen: () => current.readyState === WebSocket.OPEN,
    send: (message) => current.readyState === WebSocket.OPEN && (current.send(JSON.stringify(message)), true),
    close() {
      closed = true;
      clearTimeout(timer);
      reach.removeEventListener("change", hurry);
      token.removeEventListener("change", hurry);
      current.close();
    },
  };
}

/** Return a text in base64url without padding (RFC 4648, 5): a subprotocol has fewer characters than a token may have. */
function base64url(text) {
  const bytes = String.fromCharCode(...new TextEncoder().encode(text));
  return btoa(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
