import net from 'node:net';
import { expect, it } from 'vitest';
import { Kafka } from '#mner/stream/kafka/kafkajs.js';
import { hangingUp } from '#mner/stream/kafka/silence.js';

it('a broker that accepts connections and answers nothing: they are closed with the first request that is given up', async () => {
  let opened = 0;
  const ended: Promise<void>[] = [];
  const mute = net.createServer((socket) => {
    opened += 1;
    socket.resume();
    ended.push(new Promise((resolve) => socket.once('close', () => resolve())));
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
  const { port } = mute.address() as net.AddressInfo;
  const closed: string[] = [];
  const client = hangingUp(
    ({ host, port, onConnect }) => net.connect({ host, port }, onConnect),
    (socketFactory) =>
      new Kafka({
        brokers: [`127.0.0.1:${port}`],
        requestTimeout: 200,
        enforceRequestTimeout: true,
        retry: { retries: 0 },
        socketFactory,
        logLevel: 0,
      }),
    (broker) => closed.push(broker),
  );
  const producer = client.producer({ createPartitioner: () => () => 0 });
  await expect(producer.connect()).rejects.toThrow();
  await Promise.all(ended);
  expect(opened).toBeGreaterThan(0);
  expect(closed).toEqual(Array.from({ length: opened }, () => `127.0.0.1:${port}`));
  await new Promise((resolve) => mute.close(resolve));
});
