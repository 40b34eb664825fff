import { EventEmitter, once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** Stands between a client and a server on loopback, and fails on command. */
export interface TcpProxy {
  readonly port: number;
  /** `pass`: as if it were not there; `hang`: bytes are swallowed, new connections are accepted; `down`: nothing is open. */
  become(state: 'pass' | 'hang' | 'down'): Promise<void>;
  /** Resolves once `count` connections have been opened since the start. */
  connected(count: number): Promise<void>;
  readonly connections: number;
  stop(): Promise<void>;
}

export async function tcpProxy(target: { host: string; port: number }): Promise<TcpProxy> {
  const news = new EventEmitter().setMaxListeners(0);
  const sockets = new Set<Socket>();
  let state: 'pass' | 'hang' | 'down' = 'pass';
  let connections = 0;
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((near) => {
    connections += 1;
    keep(near);
    news.emit('connection');
    const far = connect(target);
    keep(far);
    near.on('data', (chunk) => void (state === 'pass' && far.write(chunk)));
    far.on('data', (chunk) => void (state === 'pass' && near.write(chunk)));
    near.on('close', () => far.destroy());
    far.on('close', () => near.destroy());
  });
  const listen = async (port: number) => {
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
  };
  const close = async () => {
    if (!server.listening) return;
    server.close();
    for (const socket of sockets) socket.destroy();
    await once(server, 'close');
  };
  await listen(0);
  const { port } = server.address() as AddressInfo;
  return {
    port,
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
    stop: close,
  };
}
