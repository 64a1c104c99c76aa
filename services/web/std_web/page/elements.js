// Elements, dialogs, tables and notes: what the views are made of. Text is always set as text, never as HTML.

/**
 * Make an element: h("button", {class: "main", onclick: go}, "Go").
 * Attributes that are null, undefined or false are left out; those that begin with "on" are listeners.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Set the text of an element only if it changed, so that selections and screen readers are left in peace. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Make a field with its label; `control` is an input or a select. */
export function field(label, control, hint = null) {
  return h("label", { class: "field" }, h("span", {}, label), control, hint && h("small", {}, hint));
}

/** Make a choice: options are [value, words]. */
export function choice(options, value, onchange, attributes = {}) {
  return h("select", { ...attributes, onchange: (event) => onchange(event.target.value) },
    options.map(([name, words]) => h("option", { value: name, selected: name === value }, words)));
}

/** Make a card with a title; returns the section, to which content is appended. */
export function card(title, ...children) {
  return h("section", { class: "card" }, title && h("h2", {}, title), ...children);
}

/**
 * Show a list of elements in a place, each under a key: those that look as before stay, with the focus and the selection
 * in them; an element that changed takes the place and the focus of the one before it. `made`: [[key, element], …].
 */
export function fillKeyed(place, made) {
  const before = [...place.children];
  const spare = new Map(before.map((child) => [child.dataset.key, child]));
  const wanted = made.map(([key, element]) => {
    element.dataset.key = key;
    const old = spare.get(element.dataset.key);
    spare.delete(element.dataset.key);
    return old?.isEqualNode(element) ? old : element;
  });
  const focused = document.activeElement !== place && place.contains(document.activeElement) ? document.activeElement : null;
  const line = focused && before.find((child) => child.contains(focused));
  const inside = focused && focusable(line).indexOf(focused);
  const kept = new Set(wanted);
  for (const child of before) if (!kept.has(child)) child.remove();
  wanted.forEach((element, i) => {
    if (place.children[i] !== element) place.insertBefore(element, place.children[i] ?? null);
  });
  if (!focused || document.activeElement === focused) return;
  // Where the one with the focus was taken away, the focus goes to what has come to its place.
  const at = made.findIndex(([key]) => String(key) === line.dataset.key);
  const next = place.children[at >= 0 ? at : Math.min(before.indexOf(line), place.children.length - 1)];
  const choices = next ? focusable(next) : [];
  (choices[Math.min(inside, choices.length - 1)] ?? null)?.focus({ preventScroll: true });
}

/** Return an element and what is in it, as far as it can have the focus. */
function focusable(element) {
  return [element, ...element.querySelectorAll("*")].filter((one) => one.tabIndex >= 0 && !one.disabled);
}

/**
 * Make a table. `columns`: [{title, cell(row) -> text or element, align: "right"?}]. Its `fill(rows)` shows other rows; a row
 * that is still there keeps the focus. `key(row)` tells which row it is, by default its number.
 */
export function table(columns, { caption = null, empty = "Nothing here.", onrow = null, key = (row, i) => i } = {}) {
  let shown = new Map();
  const body = h("tbody");
  const element = h("div", { class: "table" }, h("table", {},
    caption && h("caption", {}, caption),
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", { scope: "col", class: column.align }, column.title)))), body));
  const fill = (rows) => {
    shown = new Map(rows.map((row, i) => [String(key(row, i)), row]));
    const lines = rows.map((row, i) => {
      const line = h("tr", {}, columns.map((column) => h("td", { class: column.align }, column.cell(row) ?? "–")));
      if (onrow) {
        line.tabIndex = 0;
        // The line may stay while the row that it shows is another one with the same key and look.
        const open = () => onrow(shown.get(line.dataset.key));
        line.addEventListener("click", open);
        line.addEventListener("keydown", (event) => event.key === "Enter" && open());
      }
      return [key(row, i), line];
    });
    fillKeyed(body, lines.length ? lines : [["", h("tr", {}, h("td", { colspan: columns.length, class: "muted" }, empty))]]);
  };
  fill([]);
  return { element, fill };
}

/**
 * Open a dialog and wait: the value of the button that was pressed, or null (Escape, Cancel).
 * `buttons`: [{value, words, kind: "main"|"danger"|null}]. `check()` may return words that keep it open.
 */
export function dialog({ title, content = [], buttons, check = null }) {
  return new Promise((resolve) => {
    const complaint = h("p", { class: "complaint", role: "alert", hidden: true });
    const id = `dialog-${Math.random().toString(36).slice(2)}`;
    const form = h("form", { method: "dialog" }, h("h2", { id }, title), ...[content].flat(), complaint,
      h("div", { class: "buttons" },
        h("button", { type: "button", class: "quiet", onclick: () => box.close() }, "Cancel"),
        buttons.map(({ value, words, kind }) => h("button", { type: "submit", value, class: kind }, words))));
    const box = h("dialog", { "aria-labelledby": id }, form);
    let answer = null;
    form.addEventListener("submit", (event) => {
      const words = check?.(event.submitter?.value);
      if (words) {
        event.preventDefault();
        complaint.textContent = words;
        complaint.hidden = false;
      } else answer = event.submitter?.value ?? buttons[0].value;
    });
    box.addEventListener("close", () => {
      box.remove();
      resolve(answer);
    });
    document.body.append(box);
    box.showModal();
  });
}

/** Show a note for some seconds: note("Saved."), note("Refused: …", "bad"). */
export function note(words, level = "ok") {
  const element = h("p", { class: "note", dataset: { level } }, words);
  document.getElementById("notes").append(element);
  setTimeout(() => element.remove(), level === "ok" ? 4000 : 10000);
}

/** Give the browser a file to save. */
export function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = h("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

/** Load a style sheet of this folder once; resolves when its rules apply. */
export function loadStyle(name) {
  const href = new URL(name, import.meta.url).href;
  const there = [...document.styleSheets].some((sheet) => sheet.href === href);
  if (there) return Promise.resolve();
  return new Promise((resolve) => {
    document.head.append(h("link", { rel: "stylesheet", href, onload: resolve, onerror: resolve }));
  });
}
