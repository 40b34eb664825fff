import { createServer, type Server } from 'node:net';

/**
 * Ports of 127.0.0.1 that are free at this moment, all different. Another process may take one before it is used: whoever
 * starts a server on it tries again with another ({@link withFreePorts}).
 */
export async function freePorts(count: number): Promise<number[]> {
  const held = await Promise.all(Array.from({ length: count }, hold));
  const ports = held.map(portOf);
  await Promise.all(held.map(release));
  return ports;
}

/** What a server throws inside {@link withFreePorts} when another process was quicker to take its port. */
export class PortTaken extends Error {}

/**
 * Starts something on free ports, and once more on others when one was taken in between.
 *
 * @param start gets `count` ports; throws {@link PortTaken} when one of them is taken
 * @throws what `start` throws last
 */
export async function withFreePorts<T>(count: number, start: (ports: number[]) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await freePorts(count));
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === ATTEMPTS) throw error;
    }
  }
}

const ATTEMPTS = 5;

function hold(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening TCP server has a port');
  return address.port;
}

function release(server: Server): Promise<void> {
  return new Promise((resolve) => server.close(() => resolve()));
}
