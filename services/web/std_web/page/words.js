// Numbers, times and sizes as people read them.

const PREFIXES = ["", "k", "M", "G", "T", "P"];

/** Return a number with about four digits: 0.01234, 12.3, 4,321, 1.25 M. */
export function number(value, digits = 4) {
  if (value === null || value === undefined) return "–";
  if (Number.isNaN(value)) return "not a number";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return value.toLocaleString("en");
  const size = Math.abs(value);
  if (size >= 1e6 || (size < 1e-3 && size > 0)) return value.toExponential(digits - 2).replace("e+", "e");
  return Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 6 });
}

/** Return a value with a prefix of its unit: 1.25 GB/s. */
export function quantity(value, unit = "", digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  let step = 0;
  let scaled = value;
  while (Math.abs(scaled) >= 1000 && step < PREFIXES.length - 1) {
    scaled /= 1000;
    step += 1;
  }
  const text = step === 0 && Number.isInteger(scaled) ? String(scaled) : Number(scaled.toPrecision(digits)).toString();
  return `${text} ${PREFIXES[step]}${unit}`.trim();
}

/** Return a duration in the largest units that matter: 4 s, 3 min 20 s, 2 h 5 min, 3 days. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 10) return `${Number(seconds.toFixed(1))} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 2 * 86400) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.round(seconds / 86400)} days`;
}

/** Return the clock's time of seconds since 1970, with the date if it is another day. */
export function clock(seconds, fractions = false) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const moment = new Date(seconds * 1000);
  const time = moment.toLocaleTimeString("en-GB");
  const text = fractions ? `${time}.${String(moment.getMilliseconds()).padStart(3, "0")}` : time;
  return moment.toDateString() === new Date().toDateString() ? text : `${moment.toLocaleDateString("sv")} ${text}`;
}
