/** A copy in memory of its own: Node's pool would keep a whole slab alive for one value. */
export function copyOf(value: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(value.length);
  value.copy(copy);
  return copy;
}
