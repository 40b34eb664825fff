import type { CommitOffset, Place, TopicPartition } from '#mner/stream/port.js';
import type { DeliveryMode, SimulationOptions } from './simulation.js';

/** A way to break a promise, as a defect in an adapter would: what the simulation is worth shows in whether it finds them. */
export interface Mutant {
  readonly name: string;
  readonly delivery: DeliveryMode;
  readonly mutate: NonNullable<SimulationOptions['mutate']>;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'commits one record more than has an outcome',
    delivery: 'at_least_once',
    mutate: ({ broker, consumer }) => ({
      broker,
      consumer: { ...consumer, commit: (offsets) => consumer.commit(offsets.map(oneMore)) },
    }),
  },
  {
    name: 'takes a record for written before the broker has it',
    delivery: 'at_least_once',
    mutate: ({ broker, consumer }) => ({
      consumer,
      broker: {
        ...broker,
        async producer() {
          const inner = await broker.producer();
          return { ...inner, send: async (to, records) => void inner.send(to, records).catch(() => {}) };
        },
      },
    }),
  },
  {
    name: 'gives every producer a transactional id of its own, so that none is fenced',
    delivery: 'exactly_once',
    mutate: ({ broker, consumer }, { random }) => ({
      consumer,
      broker: { ...broker, transactions: (given) => broker.transactions({ ...given, id: `${given.id}/${random()}` }) },
    }),
  },
  {
    name: 'reads the committed offset before the fence',
    delivery: 'exactly_once',
    mutate({ broker, consumer }) {
      const early = new Map<string, Promise<Place>>();
      const keyOf = ({ topic, partition }: TopicPartition) => `${topic}/${partition}`;
      return {
        broker: {
          ...broker,
          async transactions(given) {
            // The id ends with the input's topic and partition.
            const [topic = '', partition] = given.id.split('/').slice(-2);
            const of = { topic, partition: Number(partition) };
            const place = consumer.rewind(of);
            early.set(keyOf(of), place);
            await place;
            return broker.transactions(given);
          },
        },
        consumer: { ...consumer, rewind: (of) => early.get(keyOf(of)) ?? consumer.rewind(of) },
      };
    },
  },
  {
    name: 'sends outside of the transaction',
    delivery: 'exactly_once',
    mutate: ({ broker, consumer }) => ({
      consumer,
      broker: {
        ...broker,
        async transactions(given) {
          const [inner, producer] = await Promise.all([broker.transactions(given), broker.producer()]);
          return { ...inner, send: (to, records) => producer.send(to, records) };
        },
      },
    }),
  },
  {
    name: 'leaves the last record of a send out now and then',
    delivery: 'exactly_once',
    mutate: ({ broker, consumer }, { random }) => ({
      consumer,
      broker: {
        ...broker,
        async transactions(given) {
          const inner = await broker.transactions(given);
          return { ...inner, send: (to, records) => inner.send(to, random() < 0.05 ? records.slice(0, -1) : records) };
        },
      },
    }),
  },
];

function oneMore(of: CommitOffset): CommitOffset {
  return { ...of, offset: of.offset + 1n };
}
