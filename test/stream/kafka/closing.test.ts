import { once } from 'node:events';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import '#mner/stream/kafka/kafkajs.js';

const require = createRequire(import.meta.url);
const Connection = require('kafkajs/src/network/connection.js') as new (
  options: object,
) => { connect(): Promise<unknown>; disconnect(): Promise<unknown>; send(request: object): Promise<unknown> };
const { versions, protocol } = require('kafkajs/src/protocol/requests/apiVersions/index.js') as {
  versions: number[];
  protocol(of: { version: number }): () => object;
};

const silent = () => {};
const logger = { namespace: () => logger, debug: silent, info: silent, warn: silent, error: silent };

it.each([0, 1, 2, 3, 4])(
  'a connection that closes %i steps after a request was begun: the request is given up, not forgotten',
  async (steps) => {
    // Reads, and answers nothing.
    const server = createServer((socket) => socket.on('error', silent).resume());
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const connection = new Connection({
      host: '127.0.0.1',
      port: (server.address() as AddressInfo).port,
      logger,
      socketFactory: (to: { host: string; port: number; onConnect: () => void }) => connect(to, to.onConnect),
      connectionTimeout: 10_000,
      requestTimeout: 200,
      enforceRequestTimeout: true,
    });
    await connection.connect();
    const answer = connection.send(protocol({ version: Math.max(...versions) })());
    const given = expect(answer).rejects.toThrow(/Not connected|Closed connection|timed out/);
    for (let step = 0; step < steps; step += 1) await null;
    await connection.disconnect();
    await given;
  },
);
