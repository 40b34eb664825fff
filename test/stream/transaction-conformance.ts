import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import type { Broker, Consumer, TransactionalProducer } from '#mner/stream/port.js';
import { type Inbox, inbox } from './inbox.js';
import { freshName, text } from './names.js';

const values = (box: Inbox) => box.records.all.map(({ value }) => String(value));
const fenced = { code: 'producer_fenced' };

/** What every adapter of the broker port must do with transactions, and with rewinding, which goes with them. */
export function transactionConformance(name: string, under: { open(): Promise<Broker> }): void {
  describe(`${name} as a broker of transactions`, () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await under.open();
      await broker.connect();
    });
    afterAll(() => broker?.close());

    const topic = async (partitions = 1): Promise<string> => {
      const made = freshName('topic');
      await broker.createTopics([{ topic: made, partitions, replicas: 1 }]);
      return made;
    };
    const open = (id: string): Promise<TransactionalProducer> => broker.transactions({ id, timeoutMs: 10_000 });
    const join = async (topic: string, group = freshName('group')): Promise<[Consumer, Inbox]> => {
      const box = inbox();
      const consumer = broker.consumer({ topics: [topic], group, sessionTimeoutMs: 6000 });
      await consumer.start(box);
      return [consumer, box];
    };
    /** All that a reader sees: a last record, written behind it, says that there is no more. */
    const seen = async (output: string): Promise<string[]> => {
      const producer = await broker.producer();
      await producer.send({ topic: output, partition: 0 }, [text('last')]);
      const [reader, box] = await join(output);
      await box.until((one) => values(one).includes('last'));
      await reader.stop();
      return values(box).filter((value) => value !== 'last');
    };

    it('shows nothing of aborted transactions that interleave in one partition and end out of turn', async () => {
      const output = await topic();
      const to = { topic: output, partition: 0 };
      const [long, short, good] = [
        await open(freshName('id')),
        await open(freshName('id')),
        await open(freshName('id')),
      ];
      for (const producer of [long, short, good]) await producer.begin();
      await long.send(to, [text('of the long one')]);
      await short.send(to, [text('of the short one')]);
      await good.send(to, [text('good')]);
      await short.abort();
      await long.send(to, [text('of the long one, again')]);
      await good.commit();
      await long.abort();
      expect(await seen(output)).toEqual(['good']);
    });

    it('shows records and offsets together at the commit, in several topics and in order', async () => {
      const [input, output, dead] = [await topic(), await topic(), await topic()];
      const group = freshName('group');
      const producer = await open(freshName('id'));
      for (const round of [1n, 2n, 3n]) {
        await producer.begin();
        await producer.sendOffsets(group, [{ topic: input, partition: 0, offset: round }]);
        await producer.send({ topic: output, partition: 0 }, [text(`a${round}`), text(`b${round}`)]);
        await producer.send({ topic: output, partition: 0 }, [text(`c${round}`)]);
        await producer.send({ topic: dead, partition: 0 }, [text(`d${round}`)]);
        expect((await broker.offsets(input, group))[0]?.committed).toBe(round === 1n ? null : round - 1n);
        await producer.commit();
      }
      // Its offset is read as the delivery reads it: after the fence, which waits for the markers.
      const next = await open(freshName('other'));
      await next.begin();
      expect(await seen(output)).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'a3', 'b3', 'c3']);
      expect(await seen(dead)).toEqual(['d1', 'd2', 'd3']);
      expect((await broker.offsets(input, group))[0]?.committed).toBe(3n);
    });

    it('shows nothing of what was aborted, and goes on', async () => {
      const [input, output] = [await topic(), await topic()];
      const group = freshName('group');
      const producer = await open(freshName('id'));
      await producer.begin();
      await producer.send({ topic: output, partition: 0 }, [text('void')]);
      await producer.sendOffsets(group, [{ topic: input, partition: 0, offset: 9n }]);
      await producer.abort();
      await producer.begin();
      await producer.send({ topic: output, partition: 0 }, [text('kept')]);
      await producer.commit();
      expect(await seen(output)).toEqual(['kept']);
      expect((await broker.offsets(input, group))[0]?.committed).toBeNull();
    });

    it('fences the older producer with the same id, and aborts what it left open', async () => {
      const [input, output] = [await topic(), await topic()];
      const [group, id] = [freshName('group'), freshName('id')];
      const older = await open(id);
      await older.begin();
      await older.send({ topic: output, partition: 0 }, [text('zombie')]);
      await older.sendOffsets(group, [{ topic: input, partition: 0, offset: 5n }]);
      const newer = await open(id);
      await older.send({ topic: output, partition: 0 }, [text('not fenced yet')]); // To open one fences nobody.
      await newer.begin();
      await expect(older.commit()).rejects.toMatchObject(fenced);
      expect((await broker.offsets(input, group))[0]?.committed).toBeNull();
      await newer.send({ topic: output, partition: 0 }, [text('owner')]);
      await newer.sendOffsets(group, [{ topic: input, partition: 0, offset: 1n }]);
      await newer.commit();
      const late = await open(id);
      await late.begin();
      await newer.begin();
      await expect(newer.send({ topic: output, partition: 0 }, [text('late')])).rejects.toMatchObject(fenced);
      await expect(newer.sendOffsets(group, [{ topic: input, partition: 0, offset: 7n }])).rejects.toMatchObject(
        fenced,
      );
      expect(await seen(output)).toEqual(['owner']);
      expect((await broker.offsets(input, group))[0]?.committed).toBe(1n);
    });

    it('refuses what is too large within a transaction, which goes on', async () => {
      const output = await topic();
      const producer = await open(freshName('id'));
      await producer.begin();
      await producer.send({ topic: output, partition: 0 }, [text('before')]);
      const large = { key: null, value: Buffer.alloc(1_200_000, 120), headers: [] };
      const sent = producer.send({ topic: output, partition: 0 }, [text('with it'), large]);
      await expect(sent).rejects.toMatchObject({ code: 'output_too_large' });
      await producer.send({ topic: output, partition: 0 }, [text('after')]);
      await producer.commit();
      expect(await seen(output)).toEqual(['before', 'after']);
    });

    it('never says that it has written to a partition that is not there, as kafkajs does', async () => {
      const output = await topic();
      const producer = await open(freshName('id'));
      await producer.begin();
      await producer.send({ topic: output, partition: 0 }, [text('there')]);
      const sent = producer.send({ topic: output, partition: 1 }, [text('nowhere')]);
      await expect(sent).rejects.toThrow(MnerError);
      await expect(sent).rejects.toThrow(output);
    });

    it('rewinds a partition to what is committed, and to its beginning without that', async () => {
      const input = await topic();
      const group = freshName('group');
      const of = { topic: input, partition: 0 };
      const producer = await broker.producer();
      await producer.send(
        of,
        ['a', 'b', 'c'].map((value) => text(value)),
      );
      const [consumer, box] = await join(input, group);
      await box.until(({ records }) => records.all.length === 3);
      consumer.pause([of]);
      expect(await consumer.rewind(of)).toEqual({ offset: 0n, committed: false });
      consumer.resume([of]);
      await box.until(({ records }) => records.all.length === 6);
      await consumer.commit([{ ...of, offset: 2n }]);
      consumer.pause([of]);
      expect(await consumer.rewind(of)).toEqual({ offset: 2n, committed: true });
      consumer.resume([of]);
      await producer.send(of, [text('d')]);
      await box.until(({ records }) => records.all.length === 8);
      expect(values(box)).toEqual(['a', 'b', 'c', 'a', 'b', 'c', 'c', 'd']);
      await consumer.stop();
      await expect(consumer.rewind(of)).rejects.toMatchObject({ code: 'broker_unavailable' });
    });

    it('may be stopped twice, and is of no use afterwards', async () => {
      const producer = await open(freshName('id'));
      await Promise.all([producer.stop(), producer.stop()]);
      await expect(producer.begin()).rejects.toMatchObject({ code: 'broker_unavailable' });
    });
  });
}
