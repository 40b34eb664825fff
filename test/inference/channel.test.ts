import { Duplex, PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { openChannel } from '#mner/inference/channel.js';

/** Two ends of a pipe; what one writes comes to the other in pieces of `piece` bytes. */
function open(piece = Number.POSITIVE_INFINITY) {
  const bytes: Buffer[] = [];
  const heard: unknown[] = [];
  const breaks: string[] = [];
  const wire = new PassThrough();
  const writer = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      bytes.push(Buffer.from(chunk));
      done();
    },
  });
  const none = { heard: () => {}, broken: () => {} };
  const { send } = openChannel(writer, none);
  openChannel(wire, { heard: (message) => void heard.push(message), broken: () => void breaks.push('broken') });
  /** Resolves when the reader has had all of it. */
  const deliver = async (all: Buffer = Buffer.concat(bytes.splice(0))) => {
    for (let at = 0; at < all.length; at += Math.min(piece, all.length)) wire.write(all.subarray(at, at + piece));
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { send, bytes, heard, breaks, deliver };
}

const feeds = {
  pixels: { type: 'uint8', data: Uint8Array.from({ length: 77_777 }, (_, at) => at), dims: [1, 77_777] },
  ids: { type: 'int64', data: BigInt64Array.from([1n, -(2n ** 62n)]), dims: [2] },
  grid: { type: 'float16', data: Uint16Array.from([1, 2, 65_535]), dims: [3] },
  odd: { type: 'float32', data: Float32Array.from([0.5, Number.NaN, -1e30]).subarray(1), dims: [2] },
  none: { type: 'float32', data: new Float32Array(0), dims: [0] },
};

it.each([1, 3, 8, 4096, Number.POSITIVE_INFINITY])(
  'passes on messages that come in pieces of %d bytes',
  async (piece) => {
    const { send, heard, breaks, deliver } = open(piece);
    const messages = [
      { type: 'run', id: 1, model: 'ä — ☃', feeds: piece < 8 ? { ...feeds, pixels: feeds.ids } : feeds },
      { type: 'stop' },
      { type: 'result', id: 2, outputs: {}, nothing: null },
    ];
    for (const message of messages) send(message);
    await deliver();
    expect(heard).toEqual(messages);
    expect(breaks).toEqual([]);
  },
);

it('hands out arrays of their own kinds, at places where they may stand', async () => {
  const { send, heard, deliver } = open();
  send({ feeds });
  await deliver();
  const [message] = heard as [{ feeds: typeof feeds }];
  for (const [name, { data }] of Object.entries(message.feeds)) {
    expect(data.constructor, name).toBe(feeds[name as keyof typeof feeds].data.constructor);
    expect(data.byteOffset % 8, name).toBe(0);
  }
});

it('copies no array on its way out', () => {
  const data = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8]);
  const written: Uint8Array[] = [];
  const pipe = new Duplex({
    read() {},
    writev(chunks, done) {
      written.push(...chunks.map(({ chunk }) => chunk as Uint8Array));
      done();
    },
  });
  openChannel(pipe, { heard: () => {}, broken: () => {} }).send({ data });
  expect(written).toHaveLength(2);
  expect(written[1]?.buffer).toBe(data.buffer);
});

it.each([
  ['a head that is no JSON', Buffer.from([4, 0, 0, 0, 0, 0, 0, 0, 120, 120, 120, 120, 0, 0, 0, 0])],
  ['a message without end', Buffer.alloc(64, 0xff)],
  ['an array that is longer than the body', frame({ $array: 'Uint8Array', bytes: 9 }, 8)],
  ['an array of a kind that is none', frame({ $array: 'constructor', bytes: 8 }, 8)],
  ['an array of less than nothing', frame({ $array: 'Uint8Array', bytes: -8 }, 8)],
  ['an array of a number and a half', frame({ $array: 'Float32Array', bytes: 6 }, 8)],
])('breaks at %s, and reads nothing more', async (_, bytes) => {
  const { send, heard, breaks, deliver } = open();
  await deliver(bytes);
  expect(breaks).toEqual(['broken']);
  send({ type: 'stop' });
  await deliver();
  expect(heard).toEqual([]);
  expect(breaks).toEqual(['broken']);
});

it('does not throw when the other end is gone', async () => {
  const pipe = new PassThrough();
  const { send, flushed } = openChannel(pipe, { heard: () => {}, broken: () => {} });
  pipe.destroy(new Error('EPIPE'));
  send({ type: 'stop' });
  expect(await flushed()).toBeUndefined();
});

/** A head of our own with a body of so many bytes. */
function frame(head: object, body: number): Buffer {
  const text = Buffer.from(JSON.stringify(head));
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32LE(text.length, 0);
  lengths.writeUInt32LE(body, 4);
  return Buffer.concat([lengths, text, Buffer.alloc((8 - (text.length % 8)) % 8), Buffer.alloc(body)]);
}
