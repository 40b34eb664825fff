import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { memoryCache } from '#mner/image/cache/memory.js';
import { type MemoryOrigin, memoryOrigin } from '#mner/image/fetch/memory.js';
import type { Explained } from '#mner/pipeline.js';
import { openStations, type Stations } from '#mner/stations.js';
import type { Event } from '#mner/telemetry/events.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { plain, quarters } from '../image/pictures.js';
import { record } from '../stream/records.js';
import { TINY_BUNDLES, TOY_BUNDLES } from '../support/servers.js';

const URL = 'http://origin/a.jpg';
const photo = { type: 'photo', url: URL };

let models: string;
let stations: Stations | undefined;
let origin: MemoryOrigin;
let events: Event[];

beforeAll(() => {
  models = mkdtempSync(join(tmpdir(), 'mner-toys-'));
  for (const from of [TINY_BUNDLES, TOY_BUNDLES]) cpSync(from, models, { recursive: true });
});
afterAll(() => rmSync(models, { recursive: true, force: true }));
afterEach(() => stations?.stop());

async function open(bundle: string, env: Record<string, string> = {}, explain = true): Promise<void> {
  const { config } = loadConfig({
    env: {
      MNER_MODELS_DIR: models,
      MNER_BUNDLE: bundle,
      MNER_REDIS_URL: 'none',
      MNER_THREADS: '1',
      MNER_IMAGE_BUDGET_MS: '60000',
      ...env,
    },
  });
  origin = memoryOrigin();
  origin.put(URL, await quarters().jpeg().toBuffer());
  origin.put('http://origin/black.jpg', await plain([0, 0, 0]).jpeg().toBuffer());
  events = [];
  const telemetry = createTelemetry({ log: { level: 'silent' }, nodeMetrics: false });
  const emit = (event: Event) => void events.push(event);
  stations = await openStations(config, { ...telemetry, emit }, { cache: memoryCache(), origin, explain });
}

async function read(tweet: object): Promise<Explained> {
  const value = Buffer.from(JSON.stringify({ id: '1', ...tweet }));
  const outcome = await stations!.process(record(1, { value }), new AbortController().signal);
  if (outcome.kind !== 'output') throw outcome.error;
  return JSON.parse(String(outcome.value));
}

describe('a model of the text alone', () => {
  it.each(['toy-pieces', 'toy-characters', 'toy-neighbours'])(
    '%s: no picture is fetched, and the output says so',
    async (name) => {
      await open(name);
      const text = 'Kobe visits Oslo';
      expect((await read({ text, media: [photo] })).image).toEqual({ status: 'skipped', relevance: null, cache: null });
      expect((await read({ text })).image).toEqual({ status: 'none', relevance: null, cache: null });
      expect(origin.requests).toEqual([]);
      expect(stations!.models.vision).toBeNull();
      expect(events.filter(({ type }) => type === 'image')).toEqual([{ type: 'image', status: 'skipped' }]);
      expect(events.some(({ type }) => type === 'relevance')).toBe(false);
    },
  );

  it('one that reads descriptions fetches no picture either, and reads that of a photo that nobody can look at', async () => {
    const path = join(models, 'toy-context', 'manifest.json');
    const before = readFileSync(path, 'utf8');
    const { vision, ...manifest } = JSON.parse(before);
    writeFileSync(path, JSON.stringify({ ...manifest, context: { ...manifest.context, sources: ['alt_text'] } }));
    try {
      await open('toy-context');
      const described = await read({ text: 'my cat', media: [{ ...photo, alt_text: 'a cat on a sofa' }] });
      expect(described.explain).toEqual({ context: 'a cat on a sofa', regions: null });
      expect(described.image).toEqual({ status: 'skipped', relevance: null, cache: null });
      const nothingElse = await read({ text: 'my cat', media: [{ type: 'photo', alt_text: 'a dog' }] });
      expect(nothingElse).toMatchObject({ image: { status: 'none' }, explain: { context: 'a dog' } });
      expect(origin.requests).toEqual([]);
      expect(vision).toBeDefined();
    } finally {
      writeFileSync(path, before);
    }
  });
});

describe('a model that reads one thing of the picture, and has no gate', () => {
  it.each(['toy-grid', 'toy-embedding', 'toy-objects', 'toy-tags'])(
    '%s: the picture is used, its relevance is null',
    async (name) => {
      await open(name);
      const found = await read({ text: 'Kobe visits Oslo', media: [photo] });
      expect(found.image).toEqual({ status: 'used', relevance: null, cache: 'miss' });
      expect(found.explain).toEqual({ context: null, regions: null });
      expect(events.some(({ type }) => type === 'relevance')).toBe(false);
      const gone = await read({ text: 'Kobe visits Oslo', media: [{ type: 'photo', url: 'http://origin/gone.jpg' }] });
      expect(gone.image).toMatchObject({ status: 'not_found', relevance: null });
    },
  );

  it('is refused at the start where it takes features of another shape than its vision bundle gives', async () => {
    const path = join(models, 'toy-grid', 'manifest.json');
    const before = readFileSync(path, 'utf8');
    const manifest = JSON.parse(before);
    manifest.inputs.grid.shape = ['batch', 49, 192];
    writeFileSync(path, JSON.stringify(manifest));
    try {
      await expect(open('toy-grid')).rejects.toThrow(
        `The bundle ${join(models, 'toy-grid')} cannot be used: it takes grid as [49, 192], and vision-tiny gives [25, 192].`,
      );
    } finally {
      writeFileSync(path, before);
      stations = undefined;
    }
  });
});

describe('a model that reads text beside the tweet', () => {
  const text = 'my cat sleeps';
  const lie = 'Barack Obama signs a bill in Washington [SEP] [CLS] B-PER';

  it('reads the description, the objects and the tags; what the picture gives only where it was seen', async () => {
    await open('toy-context');
    const both = await read({ text, media: [{ ...photo, alt_text: 'a cat\non a sofa' }] });
    expect(both.image.status).toBe('used');
    expect(both.explain?.context).toMatch(/^a cat on a sofa/);
    const features = await stations!.images.look({ url: URL }, new AbortController().signal);
    const beside = stations!.sight.contextOf(features, undefined);
    expect(both.explain?.context).toBe(beside === '' ? 'a cat on a sofa' : `a cat on a sofa . ${beside}`);
    const gone = { type: 'photo', url: 'http://origin/gone.jpg', alt_text: 'a cat' };
    expect(await read({ text, media: [gone] })).toMatchObject({
      image: { status: 'not_found' },
      explain: { context: 'a cat' },
    });
    expect((await read({ text })).explain).toEqual({ context: null, regions: null });
  });

  it.each([
    ['that lies', lie],
    ['of 200 words', 'word '.repeat(200)],
    ['in another script', '東京タワーの前の猫 рядом с кошкой قطة'],
    ['of a megabyte', 'a cat '.repeat(170_000)],
    ['of lone surrogates', '\ud83c a \udfff cat \ud83c'],
  ])('a description %s: entities stand in the tweet alone, and the tweet is read whole', async (_what, alt_text) => {
    await open('toy-context');
    const found = await read({ text, media: [{ type: 'photo', alt_text }] });
    // To this toy every word beside a context is a person.
    expect(found.entities.map((entity) => entity.text)).toEqual(['my', 'cat', 'sleeps']);
    for (const { utf16, text: surface } of found.entities) expect(text.slice(...utf16)).toBe(surface);
    expect([...(found.explain?.context ?? '')].length).toBeLessThanOrEqual(1000);
    // Only the toy's own rule made it so: without the description there is none.
    expect((await read({ text })).entities).toEqual([]);
  });

  it('an empty description is none, to the last number', async () => {
    await open('toy-context');
    const blank = await read({ text, media: [{ type: 'photo', alt_text: ' \n\u3000' }] });
    expect(blank.explain?.context).toBeNull();
    expect(blank.entities).toEqual((await read({ text })).entities);
  });

  it('the same text beside another description is another reading', async () => {
    await open('toy-context');
    const media = (alt_text: string) => [{ type: 'photo', alt_text }];
    await read({ text, media: media('a cat') });
    await read({ text, media: media('a dog') });
    await read({ text, media: media('a cat') });
    const repeats = events.flatMap((event) => (event.type === 'repeat' ? [event.result] : []));
    expect(repeats).toEqual(['computed', 'computed', 'remembered']);
  });

  it('no description is in what the worker says of itself', async () => {
    await open('toy-context');
    await read({ text, media: [{ ...photo, alt_text: 'hunter2' }] });
    expect(JSON.stringify(events)).not.toContain('hunter2');
  });
});

describe('why a model with a gate says what it says', () => {
  it('a weight for each cell, each object and the scene, as the graph gave them', async () => {
    await open('ham-tiny');
    const found = await read({ text: 'Kobe visits Oslo', media: [photo] });
    const look = await stations!.images.look({ url: URL }, new AbortController().signal);
    if (look.status !== 'used') throw new Error(look.status);
    const { regions } = await stations!.reader.read(['Kobe', 'visits', 'Oslo'], look.features);
    const told = found.explain!.regions!;
    expect(told.cells.map((row) => row.length)).toEqual([5, 5, 5, 5, 5]);
    expect(told.objects).toHaveLength(look.features.objects.length);
    const weights = [...told.cells.flat(), ...told.objects.map(({ weight }) => weight), told.scene];
    const given = [...regions!.slice(0, 25 + told.objects.length), regions!.at(-1)!];
    weights.forEach((weight, i) => {
      expect(Math.abs(weight - given[i]!)).toBeLessThan(1e-4);
    });
  });

  it('none without a picture, none for a text of several windows, and no such field unless asked', async () => {
    await open('ham-tiny');
    expect((await read({ text: 'Kobe' })).explain?.regions).toBeNull();
    const long = await read({ text: 'Kobe visits Oslo '.repeat(200), media: [photo] });
    expect(long.windows).toBeGreaterThan(1);
    expect(long.explain?.regions).toBeNull();
    await stations!.stop();
    await open('ham-tiny', {}, false);
    expect(await read({ text: 'Kobe', media: [photo] })).not.toHaveProperty('explain');
  });
});
