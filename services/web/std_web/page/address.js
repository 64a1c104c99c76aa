// What the page shows is in its address, so that a link shows the same to another.

/** Return the parameters of the address as an object of strings. */
export function parameters() {
  return Object.fromEntries(new URLSearchParams(location.search));
}

/** Return a value of the address if it is one of the options, which are [value, words] or values; else the usual one. */
export function oneOf(options, value, usual) {
  return options.some((option) => (Array.isArray(option) ? option[0] : option) === value) ? value : usual;
}

/** Return the address of parameters; those that are null, undefined or empty are left out. */
export function addressOf(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const query = new URLSearchParams(kept.map(([name, value]) => [name, String(value)])).toString();
  // Commas and colons are readable, and allowed in a query.
  return "?" + query.replaceAll("%2C", ",").replaceAll("%3A", ":").replaceAll("%3B", ";");
}

/** Change parameters of the address without a step in the browser's history. */
export function keep(changes) {
  history.replaceState(null, "", addressOf({ ...parameters(), ...changes }));
}

/** Go to an address as a step of the browser's history. */
export function go(values) {
  history.pushState(null, "", addressOf(values));
}
