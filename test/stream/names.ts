import type { OutputRecord } from '#mner/stream/port.js';

let serial = 0;
const run = `${process.pid.toString(36)}${Math.round(performance.timeOrigin).toString(36)}`;

/** A name that no other test and no earlier run has used. */
export function freshName(what: string): string {
  serial += 1;
  return `${what}-${run}-${serial}`;
}

/** Fresh names of what a worker reads and writes, and of its group. */
export function freshStream() {
  return { input: freshName('in'), output: freshName('out'), dead: freshName('dead'), group: freshName('group') };
}

export function text(value: string, headers: OutputRecord['headers'] = [], key: string | null = null): OutputRecord {
  return { key: key === null ? null : Buffer.from(key), value: Buffer.from(value), headers };
}
