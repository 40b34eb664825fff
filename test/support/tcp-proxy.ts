import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between a client and a server on loopback, and fails on command. */
export interface TcpProxy {
  readonly port: number;
  /**
   * `pass`: as if it were not there; `hang`: nothing goes through any more, no byte and no end, and new connections are accepted
   * (half-open; what had bytes to carry meanwhile stays dead afterwards); `down`: nothing is open.
   */
  become(state: 'pass' | 'hang' | 'down'): Promise<void>;
  /** How connections are from now on, those that are open among them; `{}` for as good as the machine. */
  shape(shape: Shape): void;
  /** Ends all connections now. New ones are accepted. */
  cut(): void;
  /** Resolves once `count` connections have been opened since the start. */
  connected(count: number): Promise<void>;
  readonly connections: number;
  stop(): Promise<void>;
}

export interface Shape {
  /** Each way, in milliseconds. @default 0 */
  readonly latencyMs?: number;
  /** For each connection and way. @default no limit */
  readonly bytesPerSecond?: number;
  /** Each connection is cut at a random age between these, in milliseconds; one that is open already as if it were new. @default never */
  readonly lifeMs?: readonly [least: number, most: number];
}

/** A piece of what goes one way of a connection. */
export interface Piece {
  readonly bytes: Buffer;
  /** It waits for this, and so does what comes after it. @default nothing */
  readonly after?: Promise<unknown>;
  /** The connection is cut in its place. @default false */
  readonly cut?: boolean;
}

/** One connection, as its inspector may hurt it. */
export interface Ends {
  /** The client finds it reset; the server does not hear of it, and what waits in the proxy still reaches it in its time. */
  cutClient(): void;
}

/** Cuts what goes over one connection into pieces, and may change them. */
export interface Inspector {
  toServer(chunk: Buffer): readonly Piece[];
  toClient(chunk: Buffer): readonly Piece[];
}

const PLAIN: Inspector = { toServer: (bytes) => [{ bytes }], toClient: (bytes) => [{ bytes }] };

/** Above this many bytes on the way in one direction, reading pauses. */
const MOST_BYTES = 8 * 1024 * 1024;

/**
 * @param inspect makes the inspector of a new connection
 * @param target may be a function, for a server that gets its port later
 */
export async function tcpProxy(
  target: { host: string; port: number } | (() => { host: string; port: number }),
  inspect: (ends: Ends) => Inspector = () => PLAIN,
): Promise<TcpProxy> {
  const news = new EventEmitter().setMaxListeners(0);
  const open = new Set<Connection>();
  let state: 'pass' | 'hang' | 'down' = 'pass';
  let shape: Shape = {};
  let connections = 0;
  const server = createServer({ noDelay: true }, (near) => {
    connections += 1;
    news.emit('connection');
    const far = connect({ ...(typeof target === 'function' ? target() : target), noDelay: true });
    const connection = join(near, far, inspect, { hung: () => state === 'hang', shape: () => shape });
    open.add(connection);
    void connection.ended.then(() => open.delete(connection));
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const cut = () => {
    for (const connection of open) connection.cut();
  };
  const close = async () => {
    if (!server.listening) return;
    server.close();
    cut();
    await once(server, 'close');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    cut,
    get connections() {
      return connections;
    },
    async connected(count) {
      while (connections < count) await once(news, 'connection');
    },
    async become(next) {
      state = next;
      if (next === 'down') await close();
      else if (!server.listening) await listen(port);
    },
    shape(next) {
      shape = next;
      for (const connection of open) connection.shaped();
    },
    stop: close,
  };
}

interface Connection {
  /** Both ends are closed. */
  readonly ended: Promise<unknown>;
  cut(): void;
  /** The proxy's shape has changed. */
  shaped(): void;
}

interface Weather {
  hung(): boolean;
  shape(): Shape;
}

function join(near: Socket, far: Socket, inspect: (ends: Ends) => Inspector, weather: Weather): Connection {
  let severed = false;
  const inspector = inspect({
    cutClient() {
      severed = true;
      near.resetAndDestroy();
    },
  });
  let death: NodeJS.Timeout | undefined;
  const cut = () => {
    clearTimeout(death);
    for (const socket of [near, far]) if (!socket.destroyed) socket.resetAndDestroy();
  };
  const shaped = () => {
    clearTimeout(death);
    const { lifeMs } = weather.shape();
    if (lifeMs) death = setTimeout(cut, lifeMs[0] + Math.random() * (lifeMs[1] - lifeMs[0]));
  };
  const toServer = oneWay(near, far, { inspect: (chunk) => inspector.toServer(chunk), weather, cut });
  const toClient = oneWay(far, near, { inspect: (chunk) => inspector.toClient(chunk), weather, cut });
  const ended = Promise.all(
    [near, far].map((socket) => {
      socket.on('error', () => {});
      return new Promise<void>((resolve) => socket.once('close', () => resolve()));
    }),
  ).finally(() => clearTimeout(death));
  // What is on its way when one end closes still arrives; what is held arrives when it is let go.
  near.on('close', () => severed || toServer.close());
  far.on('close', () => toClient.close());
  shaped();
  return { ended, cut, shaped };
}

/** Carries what `from` sends to `to`, in order, as the weather is. */
function oneWay(
  from: Socket,
  to: Socket,
  way: { inspect: (chunk: Buffer) => readonly Piece[]; weather: Weather; cut: () => void },
): { close: () => void } {
  const { weather } = way;
  const queue: (Piece & { readonly due: number })[] = [];
  let queued = 0;
  let carrying = false;
  let closing = false;
  /** It had something to carry while nothing went through: whatever comes later makes no sense to the other end. */
  let dead = false;
  /** When the throttle lets the next byte go. */
  let free = 0;

  const carry = async (): Promise<void> => {
    if (carrying) return;
    carrying = true;
    for (let piece = queue[0]; piece; piece = queue[0]) {
      await piece.after;
      await until(piece.due);
      queue.shift();
      queued -= piece.bytes.length;
      if (queued < MOST_BYTES) from.resume();
      dead ||= weather.hung();
      if (dead) continue;
      if (piece.cut) way.cut();
      else if (piece.bytes.length > 0 && to.writable) to.write(piece.bytes);
    }
    carrying = false;
    if (closing) finish();
  };

  const finish = (): void => {
    // The end of a hung connection is not told either.
    if (!dead && !weather.hung()) to.destroySoon();
  };

  from.on('data', (chunk: Buffer) => {
    const { latencyMs = 0, bytesPerSecond } = weather.shape();
    for (const piece of way.inspect(chunk)) {
      const now = performance.now();
      free = Math.max(free, now) + (bytesPerSecond ? (piece.bytes.length / bytesPerSecond) * 1000 : 0);
      queue.push({ ...piece, due: bytesPerSecond ? free + latencyMs : now + latencyMs });
      queued += piece.bytes.length;
    }
    if (queued >= MOST_BYTES) from.pause();
    void carry();
  });
  return {
    close() {
      closing = true;
      if (!carrying) finish();
    },
  };
}

async function until(due: number): Promise<void> {
  const wait = due - performance.now();
  // Under a millisecond it goes at once, so that pieces without latency keep to one turn of the event loop.
  if (wait >= 1) await new Promise((resolve) => setTimeout(resolve, wait));
}
