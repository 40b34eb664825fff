import { describe, expect, it } from 'vitest';
import { headerText } from '#mner/stream/headers.js';
import type { OutputRecord } from '#mner/stream/port.js';
import { FAULTY, NO_SERVERS } from '../support/servers.js';
import { mner } from '../support/worker-process.js';
import { tweet, workerStage } from '../support/worker-stage.js';

/** The model throws at it, whenever it comes. */
const POISON: OutputRecord = {
  key: Buffer.from('k'),
  value: Buffer.from(tweet('bad', 'poison in Oslo')),
  headers: [['traceparent', Buffer.from('00-1-2-01')]],
};

describe.skipIf(NO_SERVERS)(`dead letters of a real worker that are sent back to it${NO_SERVERS}`, () => {
  it.for(['at_least_once', 'exactly_once'])(
    'what fails each time counts on, 1, 2, 3, and is then refused: %s',
    { timeout: 300_000 },
    async (delivery) => {
      const stage = await workerStage();
      await stage.worker({ ...FAULTY, MNER_DELIVERY: delivery });
      const producer = await stage.broker.producer();
      await producer.send({ topic: stage.topics.input, partition: 0 }, [POISON]);
      const letters = async (count: number) => {
        await stage.dead.until(({ records }) => records.all.length >= count);
        return stage.dead.records.all.map(({ headers }) => headerText(headers, 'mner-attempts'));
      };
      const redrive = (...args: string[]) => mner(['dlq', 'redrive', ...args], { env: stage.env });

      expect(await letters(1)).toEqual(['1']);
      expect(await redrive('--yes')).toEqual({ code: 0, stdout: '', stderr: '1 sent back.\n' });
      expect(await letters(2)).toEqual(['1', '2']);
      const before = (count: number) => `${count} were sent back before, and are not sent again.\n`;
      expect(await redrive('--yes')).toEqual({ code: 0, stdout: '', stderr: `1 sent back.\n${before(1)}` });
      expect(await letters(3)).toEqual(['1', '2', '3']);
      const refused = '1 left: failed 3 times or more (--max-attempts).\n';
      expect(await redrive('--yes')).toEqual({
        code: 0,
        stdout: '',
        stderr: `0 sent back.\n${before(2)}${refused}`,
      });
      expect((await redrive('--dry-run', '--max-attempts', '4')).stderr).toBe(`1 would be sent back.\n${before(2)}`);

      // A healthy one behind it comes out, so the worker has read all there is, and nothing came of the refused one.
      await stage.send(0, tweet('good'));
      await stage.out('good');
      expect(stage.outputs.records.all).toHaveLength(1);
      expect(await letters(3)).toHaveLength(3);
      for (const { key, value, headers } of stage.dead.records.all) {
        expect([key, value]).toEqual([POISON.key, POISON.value]);
        expect(headerText(headers, 'traceparent')).toBe('00-1-2-01');
        expect(headerText(headers, 'mner-error-code')).toBe('inference_poison');
        expect(headerText(headers, 'mner-source-topic')).toBe(stage.topics.input);
      }
    },
  );
});
