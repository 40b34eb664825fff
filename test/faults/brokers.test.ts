import { describe, expect, it } from 'vitest';
import type { LocalKafkaNode } from '#mner/local/kafka.js';
import { LONG, seen } from '../support/seen.js';
import { BOTH, secondsSince, stage } from './stage.js';

const PARTITIONS = 6;

/** Three brokers: duplicates inside a committed transaction never show on one. */
describe.runIf(LONG)('brokers that are restarted under two workers', () => {
  const on = stage(3);

  it.for(BOTH)(
    'fault 13: one stops cleanly, one is killed, then all are killed: %s',
    { timeout: 180_000 },
    async (delivery, { task }) => {
      const { ledger, member } = await on.play(delivery, { partitions: PARTITIONS });
      await ledger.feed(400);
      const workers = [member('one'), member('two')];
      await ledger.progress(20);
      const took: string[] = [];
      const fault = async (what: string, strike: () => Promise<void>, mend: () => Promise<void>): Promise<void> => {
        await strike();
        const struck = performance.now();
        await mend();
        await ledger.progress(20);
        took.push(`${what} ${secondsSince(struck)} s`);
      };
      const [first, second] = on.cluster.kafka.nodes as [LocalKafkaNode, LocalKafkaNode];
      await fault(
        'clean',
        () => first.stop(),
        async () => {
          // Two are left: the work goes on before it is back.
          await ledger.progress(10);
          await first.restart();
        },
      );
      await ledger.feed(200);
      await fault(
        'killed',
        async () => second.signal('SIGKILL'),
        async () => {
          await ledger.progress(10);
          await second.restart();
        },
      );
      await ledger.feed(200);
      await fault(
        'all killed',
        async () => {
          for (const node of on.cluster.kafka.nodes) node.signal('SIGKILL');
        },
        async () => {
          await Promise.all(on.cluster.kafka.nodes.map((node) => node.restart()));
        },
      );
      const { text } = await ledger.verify(delivery);
      for (const worker of workers) worker.signal('SIGTERM');
      expect(await Promise.all(workers.map(({ exit }) => exit))).toEqual([0, 0]);
      seen(task, `${delivery}: ${text}; recovered after ${took.join(', ')}`);
    },
  );
});
