import { expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createCodec, type Remembered } from '#mner/image/cache/codec.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { createPictureStore, LIFETIMES } from '#mner/image/cache/store.js';
import type { Cache } from '#mner/image/port.js';
import type { Event } from '#mner/telemetry/events.js';
import { seen } from '../../support/seen.js';
import { TINY } from '../vision-tiny.js';

const USED: Remembered = {
  status: 'used',
  features: { grid: new Uint16Array(4800), embedding: new Uint16Array(384), tags: [], objects: [] },
};

function open(random: () => number = () => 0) {
  const clock = manualClock();
  const memory = memoryCache({ clock });
  const lookups: string[][] = [];
  const cache: Cache = {
    ...memory,
    getMany(keys) {
      lookups.push([...keys]);
      return memory.getMany(keys);
    },
    findOrClaim(key, token, ms) {
      lookups.push([key]);
      return memory.findOrClaim(key, token, ms);
    },
    claim(key, token, ms) {
      lookups.push([key]);
      return memory.claim(key, token, ms);
    },
  };
  const events: Event[] = [];
  const emit = (event: Event) => void events.push(event);
  const store = createPictureStore({ cache, codec: createCodec(TINY), lifetimes: LIFETIMES, clock, emit, random });
  const recall = async (key: string) => (await store.recall(key, 'test', 1_000)).entry;
  const results = () => events.flatMap((event) => (event.type === 'image_cache' ? [event.result] : []));
  return { clock, memory, store, recall, lookups, results };
}

it('asks for all keys of one turn in one lookup', async () => {
  const { store, lookups } = open();
  await store.remember('b', { status: 'not_found' });
  expect(await Promise.all(['a', 'b', 'c'].map((key) => store.recall(key, key, 1_000)))).toEqual([
    { lease: 'unasked', entry: null },
    { lease: 'unasked', entry: { status: 'not_found' } },
    { lease: 'unasked', entry: null },
  ]);
  expect(lookups).toEqual([['a', 'b', 'c']]);
});

it('asks for a key that is alone together with its lease', async () => {
  const { memory, store, lookups, results } = open();
  expect(await store.recall('new', 'a', 1_000)).toEqual({ lease: 'ours', entry: null });
  expect(await store.recall('new', 'b', 1_000)).toEqual({ lease: 'theirs', entry: null });
  await store.remember('gone', { status: 'not_found' });
  expect(await store.recall('gone', 'a', 1_000)).toEqual({ lease: 'unasked', entry: { status: 'not_found' } });
  await memory.set('foreign', Buffer.from('another program wrote this'), 60);
  expect(await store.recall('foreign', 'a', 1_000)).toEqual({ lease: 'unasked', entry: null });
  expect(lookups).toEqual([['new'], ['new'], ['gone'], ['foreign']]);
  expect(results()).toEqual(['miss', 'miss', 'negative', 'corrupt']);
});

it('counts hits, misses, failures that it remembers, and values that are none', async () => {
  const { memory, store, recall, results } = open();
  await store.remember('used', USED);
  await store.remember('gone', { status: 'not_found' });
  await memory.set('foreign', Buffer.from('another program wrote this'), 60);
  expect(await Promise.all(['used', 'gone', 'foreign', 'new'].map((key) => recall(key)))).toEqual([
    USED,
    { status: 'not_found' },
    null,
    null,
  ]);
  expect(results()).toEqual(['hit', 'negative', 'corrupt', 'miss']);
  await store.remember('foreign', USED);
  expect(await recall('foreign')).toEqual(USED);
});

it.for(Object.entries(LIFETIMES))('fault 40: remembers %s for %i seconds', async ([status, seconds], { task }) => {
  const { clock, store, recall } = open();
  await store.remember('key', status === 'used' ? USED : ({ status } as Remembered));
  clock.advance(seconds * 1000 - 1);
  expect(await recall('key')).toMatchObject({ status });
  clock.advance(2);
  expect(await recall('key')).toBeNull();
  seen(task, `${status}: remembered for ${seconds} s`);
});

it('takes up to a tenth off a lifetime, so that what was written together does not expire together', async () => {
  const { clock, store, recall } = open(() => 1);
  await store.remember('key', { status: 'not_found' });
  clock.advance(LIFETIMES.not_found * 900 - 1);
  expect(await recall('key')).toMatchObject({ status: 'not_found' });
  clock.advance(2);
  expect(await recall('key')).toBeNull();
});

it('claims without counting, and takes what is none of its values for nothing', async () => {
  const { memory, store, results } = open();
  await memory.set('foreign', Buffer.from('another program wrote this'), 60);
  expect(await store.claim('foreign', 'a', 1_000)).toEqual({ lease: 'ours', entry: null });
  expect(await store.claim('foreign', 'b', 1_000)).toEqual({ lease: 'theirs', entry: null });
  await store.remember('foreign', USED);
  await store.release('foreign', 'a');
  expect(await store.claim('foreign', 'b', 1_000)).toEqual({ lease: 'ours', entry: USED });
  expect(results()).toEqual([]);
});

it('remembers long what asking again would not change, and shortly what may recover', () => {
  const { used, not_found, refused, timed_out, unreachable } = LIFETIMES;
  expect(used).toBeGreaterThan(not_found);
  expect(not_found).toBeGreaterThan(refused);
  expect(refused).toBeGreaterThan(unreachable);
  expect(unreachable).toBeGreaterThan(timed_out);
});
