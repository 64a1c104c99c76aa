// One image as the live socket sends it: "SDI1", length of the header, JSON header, padding to 8, values, flags.

export const MISSING = 1;
export const MASKED = 2;
export const SATURATED = 4;

const MAGIC = 0x31494453; // "SDI1", little endian
const ARRAYS = {
  float32: Float32Array, float64: Float64Array, uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array,
  uint32: Uint32Array, int32: Int32Array, uint64: BigUint64Array, int64: BigInt64Array,
};
const TYPE_NAMES = { f4: "float32", f8: "float64", u1: "uint8", i1: "int8", u2: "uint16", i2: "int16", u4: "uint32", i4: "int32", u8: "uint64", i8: "int64" };

/**
 * Take a message apart: {header, width, height, region, values, flags}, or throw. `region` is x0, y0, x1, y1 in pixels of the
 * detector, the ends excluded; the values are bins of it, row by row.
 */
export function decode(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) throw new Error("the server sent something else than an image");
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  const [height, width] = header.shape;
  const name = header.dtype.replace(/^[<|=]/, "");
  const Type = ARRAYS[TYPE_NAMES[name] ?? name];
  if (!Type) throw new Error(`the page does not know pixels of the type ${header.dtype}`);
  const start = Math.ceil((8 + length) / 8) * 8;
  let values = new Type(buffer, start, width * height);
  if (Type === BigUint64Array || Type === BigInt64Array) values = Float64Array.from(values, Number);
  const flags = new Uint8Array(buffer, start + width * height * Type.BYTES_PER_ELEMENT, width * height);
  return { header, width, height, region: header.region, values, flags, isInteger: !name.startsWith("f") };
}

/** Return the bin that has a pixel of the detector, as an index of `values`, or null. */
export function indexAt(frame, x, y) {
  const [x0, y0, x1, y1] = frame.region;
  if (x < x0 || x >= x1 || y < y0 || y >= y1) return null;
  const column = Math.min(frame.width - 1, Math.floor(((x - x0) / (x1 - x0)) * frame.width));
  const row = Math.min(frame.height - 1, Math.floor(((y - y0) / (y1 - y0)) * frame.height));
  return row * frame.width + column;
}

/** Return why a bin or a pixel with this flag has no value, in a word; null if it has one. */
export function gapWord(flag) {
  return flag & MISSING ? "missing" : flag & MASKED ? "masked" : null;
}

/** Return whether each value is one pixel. */
export function isPlain(frame) {
  const [x0, y0, x1, y1] = frame.region;
  return frame.width === x1 - x0 && frame.height === y1 - y0;
}
