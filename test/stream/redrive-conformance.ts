import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { deadLetter } from '#mner/stream/dead-letter.js';
import { viewDeadLetter } from '#mner/stream/dead-letter-view.js';
import type { Broker, Headers, InputRecord, OutputRecord } from '#mner/stream/port.js';
import { readToEnd } from '#mner/stream/read-to-end.js';
import { type RedriveOptions, redrive, redriveGroup } from '#mner/stream/redrive.js';
import { freshName } from './names.js';
import { record } from './records.js';

const PARTITIONS = 3;

/** What a redrive does with any adapter of the broker port. */
export function redriveConformance(name: string, under: { open(): Promise<Broker> }): void {
  describe(`redrive with ${name}`, () => {
    let broker: Broker;
    beforeAll(async () => {
      broker = await under.open();
      await broker.connect();
    });
    afterAll(() => broker?.close());

    const world = async () => {
      const [input, dead, group] = [freshName('in'), freshName('dead'), freshName('group')];
      await broker.createTopics([input, dead].map((topic) => ({ topic, partitions: PARTITIONS, replicas: 1 })));
      const common = { broker, topic: dead, group, filter: {}, maxAttempts: 3, dryRun: false, timeoutMs: 10_000 };
      const again = async (change: Partial<RedriveOptions> = {}) => {
        const done = await redrive({ ...common, ...change });
        for (let partition = 0; partition < PARTITIONS; partition += 1)
          await ended(`mner/${group}/redrive/${dead}/${partition}`);
        return done;
      };
      return { input, dead, group, again };
    };
    const letterOf = (
      topic: string,
      offset: number,
      change: Partial<InputRecord> = {},
      code: 'bad_json' | 'no_text' = 'bad_json',
    ) => deadLetter(record(offset, { topic, partition: offset % PARTITIONS, ...change }), new MnerError(code));
    /** Writes dead letters as a worker with transactions does, a marker behind each: their offsets have gaps. */
    const put = async (dead: string, letters: readonly OutputRecord[]) => {
      const id = freshName('id');
      const producer = await broker.transactions({ id, timeoutMs: 10_000 });
      for (const letter of letters) {
        await producer.begin();
        const partition = (viewDeadLetter(record(0, letter)).source?.partition ?? 0) % PARTITIONS;
        await producer.send({ topic: dead, partition }, [letter]);
        await producer.commit();
      }
      await producer.stop();
      await ended(id);
    };
    /** A commit is answered before its markers are written; a fence waits for them, and readers see all of it then. */
    const ended = async (id: string) => {
      const next = await broker.transactions({ id, timeoutMs: 10_000 });
      await next.begin();
      await next.stop();
    };
    const all = async (topic: string) => {
      const found: InputRecord[] = [];
      await readToEnd({ broker, topic, group: freshName('reader'), take: (records) => found.push(...records) > 0 });
      return found;
    };
    const values = async (topic: string) => (await all(topic)).map(({ value }) => String(value)).sort();

    it('sends each back to its own partition once, however often it runs, and what failed again once more', async () => {
      const { input, dead, again } = await world();
      await put(
        dead,
        [0, 1, 2, 3, 4].map((offset) => letterOf(input, offset)),
      );
      expect(await again({ dryRun: true })).toMatchObject({ sent: 5, before: 0 });
      expect(await all(input)).toEqual([]);
      expect(await again()).toMatchObject({ sent: 5, before: 0 });
      expect(await again()).toMatchObject({ sent: 0, before: 5 });
      const back = await all(input);
      expect(back.map(({ value, partition }) => [String(value), partition]).sort()).toEqual(
        [0, 1, 2, 3, 4].map((offset) => [`v${offset}`, offset % PARTITIONS]),
      );
      const [first] = back;
      if (!first) throw new Error('nothing came');
      await put(dead, [deadLetter(first, new MnerError('no_text'))]);
      expect(await again()).toMatchObject({ sent: 1, before: 5 });
      const last = (await all(input)).filter(({ partition }) => partition === first.partition).at(-1);
      expect(last?.headers).toEqual([['mner-attempts', Buffer.from('2')]]);
    });

    it('leaves what it was not asked for to a later one', async () => {
      const { input, dead, group, again } = await world();
      const letters = Array.from({ length: 12 }, (_, i) => letterOf(input, i, {}, i % 2 ? 'no_text' : 'bad_json'));
      await put(dead, letters);
      expect(await again({ filter: { codes: new Set(['no_text']) }, max: 4 })).toMatchObject({ sent: 4 });
      expect(await again({ filter: { codes: new Set(['no_text']) } })).toMatchObject({ sent: 2, before: 4 });
      expect(await again({ filter: { partitions: new Set([0]) } })).toMatchObject({ sent: 2, before: 2 });
      expect(await again()).toMatchObject({ sent: 4, before: 8 });
      expect(await values(input)).toEqual(Array.from({ length: 12 }, (_, i) => `v${i}`).sort());
      // With nothing left in between, the ledger is the offset alone.
      expect((await broker.offsets(dead, redriveGroup(group))).map(({ metadata }) => metadata)).toEqual(['', '', '']);
    });

    it('refuses to loop for ever, and says why each is left', async () => {
      const { input, dead, again } = await world();
      const often = record(0, { topic: input, headers: [['mner-attempts', Buffer.from('2')]] });
      await put(
        dead,
        [
          deadLetter(often, new MnerError('bad_json')),
          deadLetter(record(1, { topic: input }), new MnerError('bad_json'), 'without_value'),
          deadLetter(record(2, { topic: `${input}-gone` }), new MnerError('bad_json')),
          deadLetter(record(3, { topic: input, partition: 99 }), new MnerError('bad_json')),
          { key: null, value: Buffer.from('a stranger'), headers: [] },
        ].map((letter) => letter),
      );
      const left = { attempts: 1, truncated: 1, source_missing: 2, no_source: 1, too_large: 0, refused: 0 };
      expect(await again()).toEqual({ sent: 0, before: 0, left });
      expect(await again({ maxAttempts: 4 })).toEqual({ sent: 1, before: 0, left: { ...left, attempts: 0 } });
    });

    it('goes on where one that was killed before its commit left nothing, and one after it left all', async () => {
      const { input, dead, again } = await world();
      await put(
        dead,
        [0, 3, 6].map((offset) => letterOf(input, offset)),
      );
      const killed = (at: 'commit' | 'committed'): Broker => ({
        ...broker,
        async transactions(options) {
          const producer = await broker.transactions(options);
          const dies = async (): Promise<never> => {
            throw new MnerError('broker_unavailable', 'Killed.');
          };
          return {
            ...producer,
            abort: dies,
            stop: async () => {},
            commit: at === 'commit' ? dies : () => producer.commit().then(dies),
          };
        },
      });
      await expect(again({ broker: killed('commit') })).rejects.toMatchObject({ message: 'Killed.' });
      expect(await all(input)).toEqual([]);
      await expect(again({ broker: killed('committed') })).rejects.toMatchObject({ message: 'Killed.' });
      expect(await again()).toMatchObject({ sent: 0, before: 3 });
      expect(await values(input)).toEqual(['v0', 'v3', 'v6']);
    });

    it('gives way to another one that began later', async () => {
      const { input, dead, again } = await world();
      await put(
        dead,
        [0, 3].map((offset) => letterOf(input, offset)),
      );
      const overtaken: Broker = {
        ...broker,
        async transactions(options) {
          const producer = await broker.transactions(options);
          return {
            ...producer,
            async sendOffsets(...args) {
              await again();
              await producer.sendOffsets(...args);
            },
          };
        },
      };
      await expect(again({ broker: overtaken })).rejects.toMatchObject({ code: 'redrive_overtaken' });
      expect(await values(input)).toEqual(['v0', 'v3']);
    });

    it('keeps keys, bytes and headers of every kind, repeated and binary, through dead letter and redrive', async () => {
      const { input, dead, again } = await world();
      const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array));
      // kafkajs keeps headers in an object: names that look like numbers come first, and repeated ones stand together.
      const headers = fc
        .array(fc.tuple(fc.stringMatching(/^[a-z][a-z-]{0,5}$|^__proto__$|^constructor$|^é$/), bytes), { maxLength: 8 })
        .map((list) => list.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
      const nullable = fc.option(bytes, { nil: null });
      const samples = fc.sample(fc.tuple(nullable, nullable, headers), { numRuns: 100, seed: 42 });
      const originals = samples.map(([key, value, held], i) =>
        record(i, { topic: input, key, value, headers: held as Headers }),
      );
      const producer = await broker.producer();
      await producer.send(
        { topic: dead, partition: 0 },
        originals.map((one) => deadLetter(one, new MnerError('bad_json'))),
      );
      expect(await again()).toMatchObject({ sent: originals.length });
      const back = await all(input);
      for (const [i, one] of originals.entries()) {
        const { key, value, headers: held } = back[i] ?? one;
        expect([key, value]).toEqual([one.key, one.value]);
        expect(held.filter(([name]) => name !== 'mner-attempts')).toEqual(one.headers);
      }
    });
  });
}
