import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { kafkaBroker } from '#mner/stream/kafka/broker.js';
import { BROKERS, NO_SERVERS } from '../../support/servers.js';
import { freshName } from '../names.js';

/** What a balancer is whose broker is down. */
async function closing(): Promise<Server> {
  // At the first bytes: what is closed unread is reset, and that kafkajs takes for the failure that it is.
  const server = createServer((socket) => socket.on('error', () => {}).once('data', () => socket.end()));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return server;
}

it.skipIf(NO_SERVERS)(
  'a broker of the list that accepts connections and closes them at once: the next one of the list is asked',
  async () => {
    const down = await closing();
    const { port } = down.address() as AddressInfo;
    const broker = kafkaBroker({ brokers: [`127.0.0.1:${port}`, ...BROKERS.split(',')] });
    onTestFinished(() => broker.close());
    await broker.connect();
    const topic = freshName('refusing');
    await broker.createTopics([{ topic, partitions: 1 }]);
    const producer = await broker.producer();
    await producer.send({ topic, partition: 0 }, [{ key: null, value: Buffer.from('a'), headers: [] }]);
    expect(await broker.partitions([topic])).toEqual(new Map([[topic, 1]]));
  },
);
