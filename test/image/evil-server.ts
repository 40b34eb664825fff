import { EventEmitter, once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

/** Speaks to each connection as `behave` likes, once it has asked for something. */
export interface EvilServer {
  /** `address:port` */
  readonly host: string;
  readonly port: number;
  /** Connections that were ever opened. */
  readonly connections: number;
  /** Resolves once `count` requests have come since the start. */
  asked(count: number): Promise<void>;
  /** Resolves once no connection is open. */
  quiet(): Promise<void>;
  stop(): Promise<void>;
}

/** Gets a request's path, the socket to answer on, and the whole head of the request. */
export type Behave = (path: string, socket: Socket, head: string) => void;

/** @param where @default any free port of 127.0.0.1 */
export async function evilServer(behave: Behave, where: { address?: string; port?: number } = {}): Promise<EvilServer> {
  const address = where.address ?? '127.0.0.1';
  const sockets = new Set<Socket>();
  let connections = 0;
  let requests = 0;
  const news = new EventEmitter().setMaxListeners(0);
  const tell = () => news.emit('change');
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      sockets.delete(socket);
      tell();
    });
    socket.on('data', (chunk) => {
      const head = chunk.toString('latin1');
      const path = /^GET (\S+)/.exec(head)?.[1];
      if (path === undefined) return;
      requests += 1;
      tell();
      behave(path, socket, head);
    });
  });
  server.listen(where.port ?? 0, address);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    host: `${address}:${port}`,
    port,
    get connections() {
      return connections;
    },
    async asked(count) {
      while (requests < count) await once(news, 'change');
    },
    async quiet() {
      while (sockets.size > 0) await once(news, 'change');
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A whole answer with a body of its length. */
export function answer(status: string, headers: Record<string, string> = {}, body: Buffer | string = ''): Buffer {
  const lines = Object.entries({ 'content-length': String(Buffer.byteLength(body)), ...headers });
  const head = [`HTTP/1.1 ${status}`, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}
