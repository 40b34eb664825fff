import type { Socket } from 'node:net';
import type { ISocketFactory, Kafka, RequestTimeoutEvent } from 'kafkajs';

/**
 * Closes the connections of a client to a broker that has left a request without an answer, so that the next request goes over a
 * new one.
 *
 * kafkajs gives up the request alone and sends the next over the same connection. Where that is half open (a firewall has forgotten
 * it, a machine has lost its power) each of them waits its ten seconds in vain, and only a consumer that has used up its retries
 * connects anew: more than a minute later, also where the network has long been well again. Which requests may take longer,
 * as the one that joins a group, kafkajs knows.
 *
 * @param dial makes a socket
 * @param make makes the client from the factory of its sockets
 * @param closed told of each broker whose connections are closed
 */
export function hangingUp<T extends Kafka>(
  dial: (to: Parameters<ISocketFactory>[0]) => Socket,
  make: (factory: ISocketFactory) => T,
  closed: (broker: string) => void,
): T {
  const sockets = new Map<string, Set<Socket>>();
  const client = make((to) => {
    const broker = `${to.host}:${to.port}`;
    const socket = dial(to);
    const open = sockets.get(broker) ?? new Set();
    sockets.set(broker, open.add(socket));
    socket.once('close', () => open.delete(socket));
    return socket;
  });
  const hangUp = ({ payload: { broker } }: RequestTimeoutEvent): void => {
    const open = [...(sockets.get(broker) ?? [])];
    // Many requests of one connection are given up in the same breath.
    sockets.delete(broker);
    for (const socket of open) socket.destroy(new Error('no answer to a request'));
    if (open.length > 0) closed(broker);
  };
  const [consumer, producer, admin] = [
    client.consumer.bind(client),
    client.producer.bind(client),
    client.admin.bind(client),
  ];
  client.consumer = (config) => {
    const one = consumer(config);
    one.on(one.events.REQUEST_TIMEOUT, hangUp);
    return one;
  };
  client.producer = (config) => {
    const one = producer(config);
    one.on(one.events.REQUEST_TIMEOUT, hangUp);
    return one;
  };
  client.admin = (config) => {
    const one = admin(config);
    one.on(one.events.REQUEST_TIMEOUT, hangUp);
    return one;
  };
  return client;
}
