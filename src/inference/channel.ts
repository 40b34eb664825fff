import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pack, padded, unpack } from './pack.js';

/**
 * Messages between a worker and a child process, over a pipe of their own: Node's IPC copies arrays twice on their way out and again
 * on their way in, and what it allocates for that keeps the garbage collector busy. Here the pipe takes them as they lie. And of a
 * child that a stranger's picture may have taken over nothing is read but JSON and bytes, where IPC has V8 make objects of what it says.
 *
 * A message is a frame: the length of its head in bytes, that of its body (32 bits each, little-endian), the head in JSON, and the
 * body, which is its arrays of numbers, one after the other. Head and arrays begin at multiples of eight bytes, so that what was
 * read can be used where it lies.
 */
export interface Channel {
  /** Never throws; what is sent must not be changed afterwards, since it may still lie there. */
  send(message: object): void;
  /** Resolves when all that was sent is on its way, or the other end is gone. */
  flushed(): Promise<void>;
}

export interface ChannelEvents {
  readonly heard: (message: unknown) => void;
  /** What came is no frame; nothing more is read. */
  readonly broken: () => void;
}

/** Where the child finds its end: behind stdin, stdout, stderr and Node's own channel, which tells it that its worker is gone. */
export const CHANNEL_FD = 4;

const LENGTHS = 8;
/** Of one message between those who trust each other, far above what any needs. */
const MAX_BYTES = 2 ** 30;

/**
 * The worker's end, or the child's.
 *
 * @param maxBytes of a message that is heard @default 1073741824
 */
export function openChannel(pipe: Duplex, { heard, broken }: ChannelEvents, maxBytes = MAX_BYTES): Channel {
  let held: Buffer[] = [];
  let size = 0;
  /** Bytes up to the end of the frame that is under way, as far as that is known. */
  let wanted = LENGTHS;
  // A pipe that breaks is told by the end of the process behind it.
  pipe.on('error', () => {});
  pipe.on('data', (chunk: Buffer) => {
    held.push(chunk);
    size += chunk.length;
    if (size < wanted) return;
    let messages: readonly unknown[];
    try {
      messages = read();
    } catch {
      held = [];
      pipe.removeAllListeners('data').pause();
      broken();
      return;
    }
    for (const message of messages) heard(message);
  });

  /** The messages that are here to their ends. @throws Error for what is none */
  function read(): unknown[] {
    const messages: unknown[] = [];
    const all = held.length === 1 ? (held[0] as Buffer) : Buffer.concat(held, size);
    let at = 0;
    for (; size - at >= LENGTHS; at += wanted) {
      const [head, body] = [all.readUInt32LE(at), all.readUInt32LE(at + 4)];
      wanted = LENGTHS + padded(head) + body;
      if (wanted > maxBytes) throw new RangeError('a message without end');
      if (size - at < wanted) break;
      const from = at + LENGTHS;
      messages.push(unpack(all.toString('utf8', from, from + head), all.subarray(from + padded(head), at + wanted)));
    }
    if (size - at < LENGTHS) wanted = LENGTHS;
    held = at === size ? [] : [all.subarray(at)];
    size -= at;
    return messages;
  }

  return {
    send(message) {
      if (pipe.destroyed) return;
      const { head, arrays } = pack(message);
      const bytes = Buffer.byteLength(head);
      const front = Buffer.alloc(LENGTHS + padded(bytes));
      front.writeUInt32LE(bytes, 0);
      front.writeUInt32LE(
        arrays.reduce((sum, array) => sum + padded(array.length), 0),
        4,
      );
      front.write(head, LENGTHS);
      // All in one call of the system.
      pipe.cork();
      pipe.write(front);
      for (const array of arrays) {
        pipe.write(array);
        const rest = padded(array.length) - array.length;
        if (rest > 0) pipe.write(Buffer.alloc(rest));
      }
      pipe.uncork();
    },
    flushed: () =>
      new Promise((resolve) => {
        if (pipe.destroyed || pipe.writableLength === 0) return resolve();
        pipe.once('drain', resolve).once('close', resolve);
      }),
  };
}

/** In the child: the worker, whose messages are events. */
export const worker = new EventEmitter<{ message: [message: unknown] }>();

/** The pipe to a child that was forked with one in this place; null where the process did not even start. */
export function pipeOf(child: ChildProcess): Socket | null {
  const pipe = (child.stdio as readonly unknown[] | undefined)?.[CHANNEL_FD];
  return pipe instanceof Socket ? pipe : null;
}

/** The worker's end of a channel to a child; null where there is no {@link pipeOf} it. */
export function openChildChannel(child: ChildProcess, events: ChannelEvents, maxBytes?: number): Channel | null {
  const pipe = pipeOf(child);
  return pipe && openChannel(pipe, events, maxBytes);
}

/** The child's end. It ends the process when what the worker says is no message. */
export function openWorkerChannel(): Channel {
  return openChannel(new Socket({ fd: CHANNEL_FD }), {
    heard: (message) => worker.emit('message', message),
    broken: () => process.exit(1),
  });
}
