import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import type { Broker, Consumer, ConsumerOptions, Producer } from '#mner/stream/port.js';
import type { Emit, Event } from '#mner/telemetry/events.js';
import { seen } from '../support/seen.js';
import { type Inbox, inbox } from './inbox.js';
import { freshName, text } from './names.js';
import { transactionConformance } from './transaction-conformance.js';

/** How a broker under test is opened; every test makes topics and groups of its own. */
export interface BrokerUnderTest {
  open(emit?: Emit): Promise<Broker>;
  /** Lets go of the records of the only partition below `before`, as retention does. */
  trim(broker: Broker, topic: string, before: bigint): Promise<void>;
  /** Makes a compacted topic of one partition. */
  createCompacted(broker: Broker, topic: string): Promise<void>;
}

const values = (box: Inbox) => box.records.all.map(({ value }) => value?.toString() ?? null);

/** What every adapter of the broker port must do. */
export function brokerConformance(name: string, under: BrokerUnderTest): void {
  transactionConformance(name, under);
  describe(`${name} as a broker`, () => {
    let broker: Broker;
    let producer: Producer;
    const events: Event[] = [];

    beforeAll(async () => {
      broker = await under.open((event) => void events.push(event));
      await broker.connect();
      producer = await broker.producer();
    });
    afterAll(() => broker?.close());

    const topic = async (partitions = 1): Promise<string> => {
      const made = freshName('topic');
      await broker.createTopics([{ topic: made, partitions, replicas: 1 }]);
      return made;
    };

    const join = async (options: Omit<ConsumerOptions, 'sessionTimeoutMs'>): Promise<[Consumer, Inbox]> => {
      const consumer = broker.consumer({ ...options, sessionTimeoutMs: 6000 });
      const box = inbox();
      await consumer.start(box);
      return [consumer, box];
    };

    it('creates the topics that are missing and tells their partitions', async () => {
      const [one, two] = [freshName('topic'), freshName('topic')];
      expect(await broker.createTopics([{ topic: one, partitions: 3, replicas: 1 }])).toEqual([one]);
      const both = [one, two].map((topic) => ({ topic, partitions: 2, replicas: 1 }));
      expect(await broker.createTopics(both)).toEqual([two]);
      const found = await broker.partitions([one, two, freshName('absent')]);
      expect([...found]).toEqual([
        [one, 3],
        [two, 2],
      ]);
    });

    it('hands over records in order, with key, value, headers, offset and time', async () => {
      const input = await topic();
      const [consumer, box] = await join({ topics: [input], group: freshName('group') });
      const headers = [
        ['a', Buffer.from('1')],
        ['a', Buffer.from('2')],
        ['bytes', Buffer.from([0, 255, 128])],
        ['empty', Buffer.alloc(0)],
      ] as const;
      const before = Date.now();
      await producer.send({ topic: input, partition: 0 }, [
        { key: Buffer.from([1, 0, 2]), value: Buffer.from('x'), headers },
        { key: null, value: null, headers: [] },
        { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [] },
      ]);
      await box.until(({ records }) => records.all.length === 3);
      const [first, second, third] = box.records.all;
      expect(first).toMatchObject({ topic: input, partition: 0, offset: 0n, key: Buffer.from([1, 0, 2]), headers });
      expect(first?.timestamp).toBeGreaterThanOrEqual(before - 1);
      expect(second).toMatchObject({ offset: 1n, key: null, value: null, headers: [] });
      expect(third).toMatchObject({ offset: 2n, key: Buffer.alloc(0), value: Buffer.alloc(0) });
      expect(box.ends.at(-1)).toBe(3n);
      await consumer.stop();
    });

    it('hands over headers named like something that every object has, which once stopped their partition', async () => {
      const input = await topic();
      const headers = ['__proto__', 'constructor', 'toString', 'constructor'].map(
        (name, i) => [name, Buffer.from([i])] as const,
      );
      await producer.send({ topic: input, partition: 0 }, [text('odd', headers), text('next')]);
      const [consumer, box] = await join({ topics: [input], group: freshName('group') });
      await box.until(({ records }) => records.all.length === 2);
      const byName = (name: string) => box.records.all[0]?.headers.filter(([other]) => other === name);
      for (const [name] of headers) expect(byName(name)).toEqual(headers.filter(([other]) => other === name));
      await consumer.stop();
    });

    it('tells how far reading came, past markers of transactions and what was aborted', async () => {
      const input = await topic();
      const writer = await broker.transactions({ id: freshName('id'), timeoutMs: 10_000 });
      const write = async (value: string) => {
        await writer.begin();
        await writer.send({ topic: input, partition: 0 }, [text(value)]);
      };
      await write('kept');
      await writer.commit();
      await write('void');
      await writer.abort();
      // An abort is answered before its marker is written.
      let end = 0n;
      while (end <= 2n) end = (await broker.offsets(input, freshName('group')))[0]?.end ?? 0n;
      let reached = 0n;
      let told = () => {};
      const consumer = broker.consumer({ topics: [input], group: freshName('group'), sessionTimeoutMs: 6000 });
      const box = inbox();
      await consumer.start({
        ...box,
        reached(_, next) {
          reached = next;
          told();
        },
      });
      while (reached < end)
        await new Promise<void>((resolve) => {
          told = resolve;
        });
      expect(reached).toBe(end);
      expect(values(box)).toEqual(['kept']);
      await consumer.stop();
    });

    it('starts at the end where a new group asks for it', async () => {
      const input = await topic();
      await producer.send({ topic: input, partition: 0 }, [text('old')]);
      const [consumer, box] = await join({ topics: [input], group: freshName('group'), from: 'latest' });
      // An assignment does not say that the end has been looked up yet, so some of these may count as old, too.
      const sent = (async () => {
        while (box.records.all.length === 0) await producer.send({ topic: input, partition: 0 }, [text('new')]);
      })();
      await box.until(({ records }) => records.all.length > 0);
      await sent;
      expect(values(box)).not.toContain('old');
      await consumer.stop();
    });

    it('gives records again that were not committed, and none that were', async () => {
      const input = await topic();
      const group = freshName('group');
      const to = { topic: input, partition: 0 };
      await producer.send(
        to,
        ['a', 'b', 'c', 'd'].map((value) => text(value)),
      );
      const [one, first] = await join({ topics: [input], group });
      await first.until(({ records }) => records.all.length === 4);
      await one.commit([{ ...to, offset: 2n }]);
      expect(await broker.offsets(input, group)).toMatchObject([{ partition: 0, end: 4n, committed: 2n }]);
      await one.stop();
      const [two, second] = await join({ topics: [input], group });
      await second.until(({ records }) => records.all.length === 2);
      expect(values(second)).toEqual(['c', 'd']);
      await two.stop();
    });

    it.for([
      ['earliest', ['c', 'd']],
      ['latest', ['d']],
      ['fail', []],
    ] as const)(
      'fault 21: a committed offset that retention was faster than: %s',
      async ([outOfRange, read], { task }) => {
        const [input, group] = [await topic(), freshName('group')];
        const to = { topic: input, partition: 0 };
        await producer.send(
          to,
          ['a', 'b', 'c'].map((value) => text(value)),
        );
        const [one, first] = await join({ topics: [input], group });
        await first.until(({ records }) => records.all.length === 3);
        await one.commit([{ ...to, offset: 1n }]);
        await one.stop();
        await under.trim(broker, input, 2n);

        const box = inbox();
        // A group that begins at the end must not take the lost place for no place.
        const other = broker.consumer({ topics: [input], group, from: 'latest', outOfRange, sessionTimeoutMs: 6000 });
        const told = () =>
          events.filter((event) => event.type === 'offset_reset').filter((event) => event.topic === input);
        await other.start(box);
        if (outOfRange === 'fail') {
          await box.until(({ failures }) => failures.length > 0);
          expect(box.failures[0]).toMatchObject({ code: 'offset_out_of_range', class: 'fatal' });
          expect(box.failures[0]?.message).toMatch(new RegExp(`^Offset 1 of ${input}, partition 0, is not in the log`));
          expect(told()).toEqual([]);
        } else {
          if (outOfRange === 'latest') await until(() => told().length > 0);
          await producer.send(to, [text('d')]);
          await box.until(({ records }) => records.all.length === read.length);
          const place = { from: 1n, to: outOfRange === 'earliest' ? 2n : 3n };
          expect(told()).toEqual([{ type: 'offset_reset', ...to, ...place, policy: outOfRange }]);
        }
        await other.stop();
        expect(values(box)).toEqual(read);
        const [{ committed } = { committed: null }] = await broker.offsets(input, group);
        expect(committed).toBe(1n);
        seen(task, `${name}, ${outOfRange}: offset 1 was gone, read on: ${read.join(' ') || 'nothing, fatal'}`);
      },
    );

    it('tells that a group has committed nothing', async () => {
      const input = await topic(2);
      const found = await broker.offsets(input, freshName('group'));
      expect(found.map(({ partition, end, committed }) => ({ partition, end, committed }))).toEqual([
        { partition: 0, end: 0n, committed: null },
        { partition: 1, end: 0n, committed: null },
      ]);
    });

    it('shares partitions between two members, and gives all to the one that stays', async () => {
      const input = await topic(4);
      const group = freshName('group');
      const [one, first] = await join({ topics: [input], group });
      expect(first.partitions).toHaveLength(4);
      const [two, second] = await join({ topics: [input], group });
      await first.until(({ partitions }) => partitions?.length === 2);
      await second.until(({ partitions }) => partitions?.length === 2);
      // A busy machine may cost further rejoins, some of them without a word before: each assignment stands for itself.
      expect(first.told[0]).toBe('assigned');
      expect(first.told.filter((event) => event === 'assigned').length).toBeGreaterThan(1);
      const held = [...(first.partitions ?? []), ...(second.partitions ?? [])].map(({ partition }) => partition).sort();
      expect(held).toEqual([0, 1, 2, 3]);
      for (const partition of held) await producer.send({ topic: input, partition }, [text(`p${partition}`)]);
      await first.until(({ records }) => records.all.length === 2);
      await second.until(({ records }) => records.all.length === 2);
      expect([...values(first), ...values(second)].sort()).toEqual(['p0', 'p1', 'p2', 'p3']);
      await one.stop();
      await second.until(({ partitions }) => partitions?.length === 4);
      // Nothing was committed, so the one that stays is given everything again.
      await second.until(({ records }) => new Set(records.all.map(({ partition }) => partition)).size === 4);
      await two.stop();
    });

    it('gives a member more than the topic has partitions an empty assignment', async () => {
      const input = await topic(1);
      const group = freshName('group');
      const [one, first] = await join({ topics: [input], group });
      const [two, second] = await join({ topics: [input], group });
      await first.until(({ partitions }) => partitions !== null);
      expect((first.partitions?.length ?? 0) + (second.partitions?.length ?? 0)).toBe(1);
      await Promise.all([one.stop(), two.stop()]);
    });

    it('is in touch with its group from its first assignment until it stops', async () => {
      const input = await topic(1);
      const consumer = broker.consumer({ topics: [input], group: freshName('group') });
      expect(consumer.inTouch()).toBe(false);
      await consumer.start(inbox());
      expect(consumer.inTouch()).toBe(true);
      await consumer.stop();
      expect(consumer.inTouch()).toBe(false);
    });

    it('refuses a commit of a member that has left', async () => {
      const input = await topic();
      const [consumer] = await join({ topics: [input], group: freshName('group') });
      await consumer.stop();
      const late = consumer.commit([{ topic: input, partition: 0, offset: 0n }]);
      await expect(late).rejects.toMatchObject({ code: 'broker_unavailable' });
    });

    it('hands over nothing of a paused partition until it is resumed', async () => {
      const input = await topic(2);
      const [consumer, box] = await join({ topics: [input], group: freshName('group') });
      consumer.pause([{ topic: input, partition: 0 }]);
      await producer.send({ topic: input, partition: 0 }, [text('held back')]);
      for (let i = 0; i < 20; i += 1) await producer.send({ topic: input, partition: 1 }, [text('through')]);
      await box.until(({ records }) => records.all.length === 20);
      expect(values(box)).not.toContain('held back');
      consumer.resume([{ topic: input, partition: 0 }]);
      await box.until(({ records }) => records.all.length === 21);
      await consumer.stop();
    });

    it('forgets what was paused when the group is joined again', async () => {
      const input = await topic(1);
      const group = freshName('group');
      const [one, first] = await join({ topics: [input], group });
      one.pause([{ topic: input, partition: 0 }]);
      const [two] = await join({ topics: [input], group });
      await two.stop();
      await first.until(({ told, partitions }) => told.includes('revoked') && partitions?.length === 1);
      await producer.send({ topic: input, partition: 0 }, [text('through')]);
      await first.until(({ records }) => records.all.length === 1);
      expect(values(first)).toEqual(['through']);
      await one.stop();
    });

    it('refuses a batch that is too large as a whole', async () => {
      const input = await topic();
      const to = { topic: input, partition: 0 };
      const large = { key: null, value: Buffer.alloc(1_200_000, 120), headers: [] };
      await expect(producer.send(to, [large])).rejects.toMatchObject({ code: 'output_too_large' });
      await expect(producer.send(to, [text('small'), large])).rejects.toMatchObject({ code: 'output_too_large' });
      await producer.send(to, [text('after')]);
      const [consumer, box] = await join({ topics: [input], group: freshName('group') });
      await box.until(({ records }) => records.all.length > 0);
      expect(values(box)).toEqual(['after']);
      await consumer.stop();
    });

    it('refuses a record without a key for a compacted topic, with its whole batch, also within a transaction', async () => {
      const output = freshName('compacted');
      await under.createCompacted(broker, output);
      const to = { topic: output, partition: 0 };
      await expect(producer.send(to, [text('with it', [], 'k'), text('without a key')])).rejects.toMatchObject({
        code: 'output_refused',
        message: expect.stringMatching(/compact/),
      });
      await producer.send(to, [text('after', [], 'k')]);
      const transactions = await broker.transactions({ id: freshName('id'), timeoutMs: 10_000 });
      await transactions.begin();
      await transactions.send(to, [text('before, within', [], 'k')]);
      await expect(transactions.send(to, [text('without a key')])).rejects.toMatchObject({ code: 'output_refused' });
      await transactions.send(to, [text('after, within', [], 'k')]);
      await transactions.commit();
      const [consumer, box] = await join({ topics: [output], group: freshName('group') });
      await box.until(({ records }) => records.all.length === 3);
      expect(values(box)).toEqual(['after', 'before, within', 'after, within']);
      await consumer.stop();
    });

    it('names a missing topic, for reading and for writing', async () => {
      const absent = freshName('absent');
      const consumer = broker.consumer({ topics: [absent], group: freshName('group') });
      const joined = consumer.start(inbox());
      await expect(joined).rejects.toMatchObject({ code: 'topic_missing' });
      await expect(joined).rejects.toThrow(absent);
      const sent = producer.send({ topic: absent, partition: 0 }, [text('x')]);
      await expect(sent).rejects.toMatchObject({ code: 'topic_missing' });
      await expect(sent).rejects.toThrow(absent);
      await consumer.stop();
    });

    it('never says that it has written to a partition that is not there, as kafkajs does', async () => {
      const one = await topic();
      await producer.send({ topic: one, partition: 0 }, [text('there')]);
      const sent = producer.send({ topic: one, partition: 1 }, [text('nowhere')]);
      await expect(sent).rejects.toThrow(MnerError);
      await expect(sent).rejects.toThrow(one);
    });

    it('may be stopped twice, and before it is started', async () => {
      const input = await topic();
      const options = { topics: [input], group: freshName('group') };
      const never = broker.consumer(options);
      await never.stop();
      await never.stop();
      const box = inbox();
      await never.start(box);
      expect(box.told).toEqual([]);
      const [consumer] = await join(options);
      await Promise.all([consumer.stop(), consumer.stop()]);
      const other = await broker.producer();
      await other.stop();
      await other.stop();
      await expect(other.send({ topic: input, partition: 0 }, [text('x')])).rejects.toBeInstanceOf(MnerError);
    });

    it('may be stopped while it joins', async () => {
      const input = await topic();
      const group = freshName('group');
      const consumer = broker.consumer({ topics: [input], group, sessionTimeoutMs: 6000 });
      const started = consumer.start(inbox());
      await consumer.stop();
      await started;
      // Nobody is left behind in the group: the next member is given everything at once.
      const [next, box] = await join({ topics: [input], group });
      expect(box.partitions).toHaveLength(1);
      await next.stop();
    });
  });
}

/** Waits for something that is told by an event. */
async function until(met: () => boolean): Promise<void> {
  while (!met()) await new Promise((resolve) => setTimeout(resolve, 10));
}
