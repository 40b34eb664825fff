/** Float16 as its bits: Node 20 has no Float16Array. */

const wide = new Float32Array(1);
const wideBits = new Uint32Array(wide.buffer);

export function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The nearest float16, ties to even; what is too large becomes infinite. */
export function floatToHalf(value: number): number {
  wide[0] = value;
  const bits = wideBits[0] ?? 0;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Below the smallest normal float16 the steps are 2^-24 wide; a product by a power of two is exact.
    return sign | roundToEven(Math.abs(wide[0] ?? 0) * 2 ** 24);
  }
  // The carry of the rounding runs into the exponent by itself.
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
}

/**
 * Whether none of them is infinite or NaN; a Uint16Array holds float16. Told by their bits: code that is not compiled yet
 * would make an object of each number, and a picture has eight thousand.
 */
export function allFinite(numbers: Uint16Array | Float32Array): boolean {
  if (numbers instanceof Uint16Array) return noneHasAll(numbers, 0x7c00);
  return noneHasAll(new Int32Array(numbers.buffer, numbers.byteOffset, numbers.length), 0x7f800000);
}

/** The exponent's bits are all set in what is no number. */
function noneHasAll(bits: Uint16Array | Int32Array, exponent: number): boolean {
  for (let i = 0; i < bits.length; i += 1) if (((bits[i] as number) & exponent) === exponent) return false;
  return true;
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest > 0.5 ? floor + 1 : floor;
  return floor % 2 === 0 ? floor : floor + 1;
}
