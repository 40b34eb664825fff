import type { OutputRecord } from '#mner/stream/port.js';
import { between, pick, randomOf } from '../support/random.js';

/** What must become of a record: an output, a tombstone, or a dead letter with one of these codes. */
export type Deserved = 'output' | 'tombstone' | 'bad_json' | 'unknown_shape' | 'no_text' | 'output_too_large';

export interface Traffic {
  readonly id: string;
  readonly partition: number;
  readonly deserves: Deserved;
  readonly record: OutputRecord;
}

export const PARTITIONS = 12;
/** The output topic takes batches up to this size; a record with a header that is larger becomes a dead letter. */
export const OUTPUT_MAX_BYTES = 128 * 1024;
/** Header by which every record, output and dead letter is known. */
export const ID_HEADER = 'soak-id';

const PEOPLE = ['Serena Williams', 'Kobe Bryant', 'Angela Merkel', 'Taylor Swift', 'Harry Kane', 'Amélie Mauresmo'];
const PLACES = ['Wimbledon', 'Los Angeles', 'Nairobi', 'São Paulo', 'Paris', 'Berlin'];
const THINGS = ['Google', 'Coldplay', 'Manchester United', 'the Champions League', 'Netflix', 'BBC News'];
const SAYINGS = [
  (who: string, where: string, what: string) => `${who} meets ${what} in ${where}`,
  (who: string, where: string) => `can't believe ${who} is in ${where} tonight 😱 #wow`,
  (who: string, where: string, what: string) => `RT @news: ${what} says that ${who} has left ${where} http://t.co/x`,
  () => 'so tired of mondays, need coffee ☕',
  (who: string, where: string, what: string) =>
    `${what} ${what} ${what}!!! ${where} here we come, thanks ${who} &amp; all`,
];

/**
 * The n-th record of a soak, decided by the seed alone: tweets, one in five with a picture, keys that repeat and no key at all,
 * poison of three kinds, tombstones, empty texts, and records whose output is too large for its topic.
 *
 * @param pictures origin and paths of the pictures that a tweet may name
 */
export function trafficOf(seed: number, n: number, pictures: readonly string[]): Traffic {
  const random = randomOf((seed ^ Math.imul(n + 1, 0x9e3779b1)) | 0);
  const id = `s${n}`;
  const user = random() < 0.8 ? `user-${between(random, 1, 97)}` : null;
  const partition = user === null ? between(random, 0, PARTITIONS - 1) : Number(user.slice(5)) % PARTITIONS;
  const lot = random();
  const text = lot < 0.1 ? '' : pick(random, SAYINGS)(pick(random, PEOPLE), pick(random, PLACES), pick(random, THINGS));
  const tweet = (more: object = {}) => JSON.stringify({ id, text: lot < 0.2 ? text : `${text} ${n}`, ...more });
  const make = (deserves: Deserved, value: string | null, headers: OutputRecord['headers'] = []): Traffic => {
    const own = [[ID_HEADER, Buffer.from(id)] as const, ...headers];
    const record = {
      key: user === null ? null : Buffer.from(user),
      value: value === null ? null : Buffer.from(value),
      headers: own,
    };
    return { id, partition, deserves, record };
  };
  if (lot < 0.02) return make('tombstone', null);
  if (lot < 0.04) return make('bad_json', `{"id":"${id}","text":`);
  if (lot < 0.05) return make('unknown_shape', JSON.stringify({ nothing: id }));
  if (lot < 0.06) return make('no_text', JSON.stringify({ id }));
  if (lot < 0.065) return make('output_too_large', tweet(), [['bulk', Buffer.alloc(OUTPUT_MAX_BYTES + 1, 'x')]]);
  if (lot < 0.8 || pictures.length === 0) return make('output', tweet());
  // A few pictures that all know, and many that nobody has asked for before.
  const url = `${pick(random, pictures)}${random() < 0.7 ? '' : `?n=${n}`}`;
  return make('output', tweet({ media: [{ type: 'photo', url }] }));
}
