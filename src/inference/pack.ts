/** Arrays of numbers that may stand in a message. */
const KINDS = { Uint8Array, Uint16Array, Int32Array, Float32Array, BigInt64Array } as const;
type Kind = keyof typeof KINDS;

/** A message in two: JSON in which each array is named by its place, and the arrays' bytes. */
export interface Packed {
  readonly head: string;
  readonly arrays: readonly Uint8Array[];
}

/** In the place of an array: what it is, and how many bytes. */
interface Placeholder {
  readonly $array: Kind;
  readonly bytes: number;
}

export function pack(message: unknown): Packed {
  const arrays: Uint8Array[] = [];
  const strip = (value: unknown): unknown => {
    if (ArrayBuffer.isView(value)) {
      arrays.push(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
      return { $array: kindOf(value), bytes: value.byteLength } satisfies Placeholder;
    }
    if (Array.isArray(value)) return value.map(strip);
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, strip(one)]));
  };
  const head = JSON.stringify(strip(message));
  return { head, arrays };
}

/**
 * The message again; its arrays are views of `body`, each at the next multiple of eight bytes.
 *
 * @throws Error when it was never packed
 */
export function unpack(head: string, body: Uint8Array): unknown {
  let at = 0;
  const fill = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(fill);
    if (typeof value !== 'object' || value === null) return value;
    if (!('$array' in value)) return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fill(one)]));
    const { $array: kind, bytes } = value as Partial<Placeholder>;
    const Numbers = Object.hasOwn(KINDS, String(kind)) ? KINDS[kind as Kind] : undefined;
    const length = Number(bytes) / (Numbers?.BYTES_PER_ELEMENT ?? 1);
    if (!Numbers || !Number.isInteger(length) || length < 0 || at + Number(bytes) > body.length) {
      throw new Error('an array that is none');
    }
    const from = body.byteOffset + at;
    at += padded(Number(bytes));
    return new Numbers(body.buffer as ArrayBuffer, from, length);
  };
  return fill(JSON.parse(head));
}

/** So many bytes with what is left free up to the next multiple of eight, where the widest numbers may begin. */
export function padded(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

function kindOf(view: ArrayBufferView): Kind {
  const name = Buffer.isBuffer(view) ? 'Uint8Array' : view.constructor.name;
  if (!Object.hasOwn(KINDS, name)) throw new TypeError(`a ${name} has no place in a message`);
  return name as Kind;
}
