// From values to colours: the maps, the scales, and the colours of pixels that have no value.
import { MASKED, MISSING, SATURATED } from "./frame.js";

// Every 16th colour of each map; those between are interpolated. All but the grey ones are readable for the colour-blind,
// and grow brighter evenly (viridis, inferno: Smith and van der Walt, CC0; cividis: Nuñez et al., CC0).
const KNOTS = {
  viridis: "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  cividis: "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
  inferno: "000004 0b0724 210c4a 3d0965 57106e 71196e 8a226a a32c61 bc3754 d24644 e45a31 f1731d f98e09 fcac11 f9cb35 f2ea69 fcffa4",
  grey: "000000 ffffff",
  "grey, inverted": "ffffff 000000",
};
export const COLOUR_MAPS = Object.keys(KNOTS);
export const SCALES = [["linear", "linear"], ["sqrt", "sqrt"], ["log", "log"]];

/** Colours of pixels without a value of their own, beside every map: missing, masked, saturated; as hexadecimal digits. */
export const FAULT_COLOURS = { missing: "4d2226", masked: "1e3a55", saturated: "ff35d0" };
export const HATCH_COLOURS = { missing: "b0656c", masked: "5f8fbd" };

const FIRST_STEP = 0x3f800000 >>> 15; // the bits of 1 as a float32, without the last 15

const tables = new Map();

/** Return 256 colours of a map, as a canvas has them: 0xAABBGGRR. */
export function table(name) {
  if (!tables.has(name)) tables.set(name, makeTable((KNOTS[name] ?? KNOTS.viridis).split(" ").map(channels)));
  return tables.get(name);
}

function makeTable(knots) {
  const made = new Uint32Array(256);
  for (let i = 0; i < 256; i += 1) {
    const place = (i / 255) * (knots.length - 1);
    const left = Math.min(Math.floor(place), knots.length - 2);
    const [r, g, b] = knots[left].map((low, c) => Math.round(low + (knots[left + 1][c] - low) * (place - left)));
    made[i] = packed([r, g, b]);
  }
  return made;
}

function channels(digits) {
  return [0, 2, 4].map((at) => parseInt(digits.slice(at, at + 2), 16));
}

function packed([r, g, b]) {
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** Return a colour of six hexadecimal digits, as a canvas has it: 0xAABBGGRR. */
export function colourOfDigits(digits) {
  return packed(channels(digits));
}

/** Return a colour of a canvas as CSS writes it. */
export function css(colour) {
  return `rgb(${colour & 255} ${(colour >> 8) & 255} ${(colour >> 16) & 255})`;
}

/** Return whether black text is easier to read than white on a colour of a canvas. */
export function isBright(colour) {
  return 0.299 * (colour & 255) + 0.587 * ((colour >> 8) & 255) + 0.114 * ((colour >> 16) & 255) > 140;
}

/** Return the function from a value to 0…1 for a scale and limits; the logarithm is that of one more than the value. */
export function scaling({ scale, low, high }) {
  const range = high - low || 1e-30;
  if (scale === "sqrt") return (value) => Math.sqrt(Math.max(0, (value - low) / range));
  if (scale === "log") {
    const steepness = Math.max(100, range);
    const all = Math.log1p(steepness);
    return (value) => Math.log1p(Math.max(0, (value - low) / range) * steepness) / all;
  }
  return (value) => (value - low) / range;
}

/** Colour the values of an image into `target`; returns how many of them are missing, masked and saturated. */
export function paint(frame, style, target) {
  const { values, flags } = frame;
  const colours = table(style.colours);
  const place = scaling(style);
  const known = values.BYTES_PER_ELEMENT <= 2 && !(values instanceof Int8Array) ? lookUp(values, style, place) : null;
  const colourAt = known ? null : style.scale === "linear" ? linear(colours, style) : curved(colours, style);
  const missing = colourOfDigits(FAULT_COLOURS.missing);
  const masked = colourOfDigits(FAULT_COLOURS.masked);
  const saturated = colourOfDigits(FAULT_COLOURS.saturated);
  const counts = { missing: 0, masked: 0, saturated: 0 };
  for (let i = 0; i < values.length; i += 1) {
    const flag = flags[i];
    if (flag & MISSING) {
      target[i] = missing;
      counts.missing += 1;
    } else if (flag & MASKED) {
      target[i] = masked;
      counts.masked += 1;
    } else if (flag & SATURATED) {
      target[i] = saturated;
      counts.saturated += 1;
    } else target[i] = known ? known[values[i] & 0xffff] : colourAt(values[i]);
  }
  return counts;
}

function colourOf(value, colours, place) {
  const index = place(value) * 255;
  // Also what is not a number, which is no place at all.
  return colours[index >= 255 ? 255 : index > 0 ? Math.round(index) : 0];
}

function linear(colours, { low, high }) {
  const factor = 255 / (high - low || 1e-30);
  return (value) => {
    const index = (value - low) * factor;
    return colours[index >= 255 ? 255 : index > 0 ? (index + 0.5) | 0 : 0];
  };
}

/** As `linear`, for the other scales: from a table over the first bits of 1 + 2^16 times the place between the limits. */
function curved(colours, style) {
  const range = style.high - style.low || 1e-30;
  const place = scaling(style);
  const number = new Float32Array(1);
  const bits = new Uint32Array(number.buffer);
  const steps = new Uint32Array(17 * 256 + 1);
  for (let i = 0; i < steps.length; i += 1) {
    bits[0] = (FIRST_STEP + i) << 15;
    steps[i] = colourOf(style.low + ((number[0] - 1) / 65536) * range, colours, place);
  }
  const { low } = style;
  return (value) => {
    const part = (value - low) / range;
    if (!(part > 0)) return colours[0];
    if (part >= 1) return colours[255];
    number[0] = 1 + part * 65536;
    return steps[(bits[0] >>> 15) - FIRST_STEP];
  };
}

let kept = { key: null, made: null };

function lookUp(values, style, place) {
  const signed = values instanceof Int16Array;
  const colours = table(style.colours);
  const key = [signed, colours, style.scale, style.low, style.high];
  if (kept.key && key.every((part, i) => part === kept.key[i])) return kept.made;
  const made = new Uint32Array(65536);
  for (let i = 0; i < 65536; i += 1) made[i] = colourOf(signed && i > 32767 ? i - 65536 : i, colours, place);
  kept = { key, made };
  return made;
}
