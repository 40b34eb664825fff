import type { Ends, Inspector, Piece } from './tcp-proxy.js';

/** Kafka's numbers of its requests, those that faults are aimed at. */
const APIS = {
  Produce: 0,
  Fetch: 1,
  ListOffsets: 2,
  Metadata: 3,
  OffsetCommit: 8,
  OffsetFetch: 9,
  FindCoordinator: 10,
  JoinGroup: 11,
  Heartbeat: 12,
  LeaveGroup: 13,
  SyncGroup: 14,
  InitProducerId: 22,
  AddPartitionsToTxn: 24,
  AddOffsetsToTxn: 25,
  EndTxn: 26,
  TxnOffsetCommit: 28,
} as const;

export type Api = keyof typeof APIS;

/** Which messages: requests of an API, or the answers to them. */
export interface Aim {
  readonly api: Api;
  readonly side: 'request' | 'response';
  /** Only of the client with this client id. @default any */
  readonly client?: string;
}

/** What waits for one message. */
export interface Trap {
  /** Resolves with the message when it has come to the proxy. */
  readonly caught: Promise<Buffer>;
  /** Lets the message go on, also when its sender has gone; or forgets the trap, if nothing was caught yet. */
  release(): void;
  /** Resets the connection for the client that sent what is held; it reaches the broker once it is released. */
  sever(): void;
}

/** Faults that know what they hit. Share one among the proxies of a cluster: whoever sees the message first, springs the trap. */
export interface KafkaFaults {
  /** The next such message waits, and what comes behind it on its connection. */
  hold(aim: Aim): Trap;
  /** The next such message never arrives; its connection goes on. */
  swallow(aim: Aim): Trap;
  /** The connection is cut in place of the next such message: an answer is lost after the broker has done what was asked. */
  cut(aim: Aim): Trap;
  /** Messages of this kind so far, caught ones among them. */
  count(aim: Aim): number;
  /** To be given to the proxies. */
  inspector(ends: Ends): Inspector;
}

interface Asked {
  readonly api: number;
  readonly client: string;
  readonly ends: Ends;
}

interface Armed {
  readonly aim: Aim;
  /** What becomes of the message. */
  readonly spring: (bytes: Buffer, ends: Ends) => Piece;
}

/** The error code with which an answer to EndTxn or OffsetCommit ends, in the versions that kafkajs asks for. */
export function errorCode(response: Buffer): number {
  return response.readInt16BE(response.length - 2);
}

/** Kafka's codes for what an older producer is told. */
export const FENCED: readonly number[] = [47, 90];

export function kafkaFaults(): KafkaFaults {
  const armed = new Set<Armed>();
  const counts = new Map<string, number>();

  const arm = (aim: Aim, make: (bytes: Buffer, released: Promise<void>) => Piece): Trap => {
    let tell = (_message: Buffer) => {};
    let release = () => {};
    let held: Ends | undefined;
    const caught = new Promise<Buffer>((resolve) => {
      tell = resolve;
    });
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    const trap: Armed = {
      aim,
      spring(bytes, ends) {
        held = ends;
        armed.delete(trap);
        tell(bytes);
        return make(bytes, released);
      },
    };
    armed.add(trap);
    return {
      caught,
      release() {
        armed.delete(trap);
        release();
      },
      sever: () => held?.cutClient(),
    };
  };

  const judge = (side: Aim['side'], { api, client, ends }: Asked, bytes: Buffer): Piece => {
    for (const name of [`${side} ${api} ${client}`, `${side} ${api}`]) counts.set(name, (counts.get(name) ?? 0) + 1);
    for (const trap of armed) {
      const { aim } = trap;
      if (aim.side === side && APIS[aim.api] === api && (aim.client ?? client) === client)
        return trap.spring(bytes, ends);
    }
    return { bytes };
  };

  return {
    hold: (aim) => arm(aim, (bytes, after) => ({ bytes, after })),
    swallow: (aim) => arm(aim, () => ({ bytes: Buffer.alloc(0) })),
    cut: (aim) => arm(aim, () => ({ bytes: Buffer.alloc(0), cut: true })),
    count: ({ api, side, client }) =>
      counts.get(client === undefined ? `${side} ${APIS[api]}` : `${side} ${APIS[api]} ${client}`) ?? 0,
    inspector(ends) {
      /** Requests without an answer yet, by their correlation id. */
      const asked = new Map<number, Asked>();
      const requests = frames();
      const responses = frames();
      return {
        toServer: (chunk) =>
          requests(chunk).map((frame) => {
            const request = { api: frame.readInt16BE(4), client: clientOf(frame), ends };
            asked.set(frame.readInt32BE(8), request);
            return judge('request', request, frame);
          }),
        toClient: (chunk) =>
          responses(chunk).map((frame) => {
            const correlation = frame.readInt32BE(4);
            const request = asked.get(correlation);
            asked.delete(correlation);
            return request ? judge('response', request, frame) : { bytes: frame };
          }),
      };
    },
  };
}

/** Every request's head: length, API, version, correlation id, client id. */
function clientOf(frame: Buffer): string {
  const length = frame.readInt16BE(12);
  return length < 0 ? '' : frame.toString('utf8', 14, 14 + length);
}

/** Puts chunks together to whole messages, each with the four bytes of its length. */
function frames(): (chunk: Buffer) => Buffer[] {
  let rest: Buffer[] = [];
  let held = 0;
  return (chunk) => {
    rest.push(chunk);
    held += chunk.length;
    const first = rest[0] as Buffer;
    // A large answer comes in many chunks: they are put together once, not at each of them.
    if (first.length >= 4 && held < 4 + first.readInt32BE(0)) return [];
    let bytes = rest.length === 1 ? first : Buffer.concat(rest);
    const whole: Buffer[] = [];
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
      const end = 4 + bytes.readInt32BE(0);
      whole.push(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
    }
    rest = bytes.length > 0 ? [bytes] : [];
    held = bytes.length;
    return whole;
  };
}
