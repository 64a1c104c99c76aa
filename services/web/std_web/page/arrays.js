// Messages with a header and arrays, as the panels get them: "SDP1", length, JSON, arrays at multiples of 8 bytes.

const TYPES = { uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array, uint32: Uint32Array, int32: Int32Array, float32: Float32Array, float64: Float64Array };
const MAGIC = 0x31504453;

/** Return {header, arrays: {name: {values, shape}}} of a message; the values are views of the buffer. */
export function decodeArrays(buffer) {
  const words = new DataView(buffer);
  if (words.getUint32(0, true) !== MAGIC) throw new Error("This is no message of a panel.");
  const end = 8 + words.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, end - 8)));
  const begin = Math.ceil(end / 8) * 8;
  const arrays = {};
  for (const { name, dtype, shape, offset } of header.arrays) {
    arrays[name] = { shape, values: new TYPES[dtype](buffer, begin + offset, shape.reduce((product, length) => product * length, 1)) };
  }
  return { header, arrays };
}
