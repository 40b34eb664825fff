import type { OutputRecord } from '#mner/stream/port.js';
import { TINY } from '../support/servers.js';
import type { Play } from './stage.js';

/** A ledger's ids as tweets for a real worker; every twentieth is cut off. */
export const TWEETS = {
  record(id: string): OutputRecord {
    const tweet = JSON.stringify({ id, text: 'Kobe Bryant in Oslo' });
    const value = Buffer.from(Number(id.split(':')[1]) % 20 === 7 ? tweet.slice(0, -2) : tweet);
    return { key: Buffer.from(id), value, headers: [] };
  },
  idOf: (value: string): string => /"(?:tweet_)?id":"(\d+:\d+)"/.exec(value)?.[1] ?? value,
};

/** What a real worker is started with: the tiny model, no cache, short deadlines. */
export function workerEnv({
  ledger,
  delivery,
  brokers,
}: Pick<Play, 'ledger' | 'delivery' | 'brokers'>): Record<string, string> {
  return {
    ...TINY,
    MNER_BROKERS: brokers.join(','),
    MNER_REDIS_URL: 'none',
    MNER_DELIVERY: delivery,
    MNER_GROUP: ledger.group,
    MNER_INPUT_TOPIC: ledger.input,
    MNER_OUTPUT_TOPIC: ledger.output,
    MNER_DEAD_LETTER_TOPIC: ledger.dead,
    MNER_COMMIT_EVERY_MS: '50',
    MNER_SESSION_TIMEOUT_MS: '6000',
    MNER_DRAIN_TIMEOUT_MS: '5000',
    MNER_TRANSACTION_TIMEOUT_MS: '3000',
  };
}
