import { readdirSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createWordReader, type WordReader, type WordReaderOptions } from '#mner/image/ocr.js';
import type { Event } from '#mner/telemetry/events.js';
import { plain, RED } from './pictures.js';
import { slowEngine } from './slow-engine.js';
import { canDrawWords, greyOf, row, wordPicture } from './word-pictures.js';

const FAULTS = 'test/image/programs/ocr-fault.mjs';
const DIE = row(1);
const SPIN = row(2);
const EAT = row(3);
const LIE = row(4);
const ENVIRONMENT = row(5);
const FINE = row(77);
const readers: WordReader[] = [];
afterEach(() => Promise.all(readers.splice(0).map((reader) => reader.stop())));

/** The engine's start counts, and takes long on a busy machine. */
const PATIENT = { timeoutMs: 60_000, startTimeoutMs: 60_000 };

function make(options: WordReaderOptions = {}) {
  const events: Event[] = [];
  const reader = createWordReader({ emit: (event) => events.push(event), ...PATIENT, ...options });
  readers.push(reader);
  const results = () => events.flatMap((event) => (event.type === 'image_words' ? [event.result] : []));
  const notes = () => events.flatMap((event) => (event.type === 'note' ? [event.message] : []));
  return { reader, events, results, notes };
}

describe('tesseract.js', { timeout: 90_000 }, async () => {
  const drawn = await canDrawWords();
  it.skipIf(!drawn)('finds the words (skipped where no font is installed, such as fonts-dejavu-core)', async () => {
    const { reader, results, events } = make();
    expect(await reader.read(await greyOf(await wordPicture('Vote for Obama', 'FC Barcelona')))).toBe(
      'Vote for Obama FC Barcelona',
    );
    expect(await reader.read(await greyOf(await wordPicture('Kobe Bryant 24')))).toBe('Kobe Bryant 24');
    expect(results()).toEqual(['found', 'found']);
    expect(events.filter((event) => event.type === 'stage')).toHaveLength(2);
    expect(JSON.stringify(events)).not.toMatch(/Obama|Kobe/);
  });

  it('finds none in a plain picture, none in noise, and leaves no file behind', async () => {
    const before = readdirSync('.');
    const { reader, results } = make();
    expect(await reader.read(await greyOf(await plain(RED, 640, 480).png().toBuffer()))).toBe('');
    const noise = Uint8Array.from({ length: 200 * 150 }, (_, at) => (at * 2_654_435_761) >>> 24);
    expect(await reader.read({ width: 200, height: 150, pixels: noise })).toBe('');
    expect(await reader.read(row(1))).toBe('');
    expect(results()).toEqual(['none', 'none', 'none']);
    expect(readdirSync('.')).toEqual(before);
  });

  it('is not started before there is a picture', async () => {
    const { reader } = make();
    expect(reader.pid).toBeNull();
    await reader.stop();
    expect(await reader.read(FINE)).toBeNull();
    expect(reader.pid).toBeNull();
  });
});

describe('a picture that hurts the engine', () => {
  it('takes too long: no words, and a new engine reads the next one', async () => {
    const { reader, results, notes } = make({ program: FAULTS, timeoutMs: 500 });
    // Until it is started, which half a second may be too short for.
    const fine = () => expect.poll(() => reader.read(FINE), { timeout: 30_000 }).toBe('77');
    await fine();
    const { pid } = reader;
    expect(await reader.read(SPIN)).toBeNull();
    expect(results().at(-1)).toBe('timed_out');
    await fine();
    expect(reader.pid).not.toBe(pid);
    expect(notes()).toEqual([]);
  });

  it.each([
    ['crashes it', DIE, /was ended by SIGSEGV/],
    ['takes it over', LIE, /was ended by SIGKILL/],
    ['eats memory', EAT, /./],
  ])('%s: no words, and a new engine reads the next one', async (_, picture, note) => {
    const { reader, results, notes } = make({ program: FAULTS, maxMemoryBytes: 200 * 2 ** 20, timeoutMs: 20_000 });
    expect(await reader.read(picture)).toBeNull();
    expect(await reader.read(FINE)).toBe('77');
    expect(results()).toEqual(['failed', 'found']);
    expect(notes()).toEqual([expect.stringMatching(note)]);
  });

  it('finds nothing of the worker in its environment', async () => {
    const { reader } = make({ program: FAULTS });
    expect(await reader.read(ENVIRONMENT)).not.toMatch(/HOME|MNER|REDIS|npm/i);
  });
});

describe('an engine that is hurt', () => {
  it('killed with -9 while idle: the next picture is read', async () => {
    const { reader, notes } = make({ program: FAULTS });
    await reader.read(FINE);
    const { pid } = reader;
    process.kill(pid ?? 0, 'SIGKILL');
    await expect.poll(() => reader.pid, { timeout: 30_000 }).toBeNull();
    expect(await reader.read(FINE)).toBe('77');
    expect(notes()).toEqual(['The process that reads words was ended by SIGKILL.']);
  });

  it('starts slowly: a picture waits no longer for it than for its words, and the next one finds it ready', async () => {
    const clock = manualClock();
    const { program, letStart } = slowEngine();
    const { reader, results, events } = make({ program, clock, timeoutMs: 2_000 });
    const first = reader.read(FINE);
    await expect.poll(() => reader.pid, { timeout: 30_000 }).not.toBeNull();
    clock.advance(2_000);
    expect(await first).toBeNull();
    expect(results()).toEqual(['timed_out']);
    const second = reader.read(row(78));
    letStart();
    expect(await second).toBe('78');
    expect(results()).toEqual(['timed_out', 'found']);
    expect(events.filter((event) => event.type === 'note')).toEqual([]);
  });

  it('may take as long to start as a picture waits for it', async () => {
    const clock = manualClock();
    const { program, letStart } = slowEngine();
    const reader = createWordReader({ program, clock, timeoutMs: 20_000 });
    readers.push(reader);
    const words = reader.read(FINE);
    await expect.poll(() => reader.pid, { timeout: 30_000 }).not.toBeNull();
    clock.advance(19_000);
    letStart();
    expect(await words).toBe('77');
  });

  it('is started ahead, and once, for pictures that are still fetched', async () => {
    const { reader, results } = make({ program: FAULTS });
    reader.warm();
    const { pid } = reader;
    expect(pid).not.toBeNull();
    reader.warm();
    expect(await reader.read(FINE)).toBe('77');
    expect(reader.pid).toBe(pid);
    expect(results()).toEqual(['found']);
    await reader.stop();
    reader.warm();
    expect(reader.pid).toBeNull();
  });

  it('does not start: no words, said once, and tried again after 30 s', async () => {
    const clock = manualClock();
    const { reader, results, events } = make({ program: 'test/image/programs/decode-stillborn.mjs', clock });
    const errors = () => events.filter((event) => event.type === 'note' && event.level === 'error').length;
    expect(await Promise.all([reader.read(FINE), reader.read(FINE)])).toEqual([null, null]);
    expect(await reader.read(FINE)).toBeNull();
    expect(errors()).toBe(1);
    clock.advance(30_000);
    expect(await reader.read(FINE)).toBeNull();
    expect(errors()).toBe(2);
    expect(results()).toEqual(Array(4).fill('failed'));
  });
});

describe('more pictures than the engine reads', () => {
  it('go on without words: at once beyond eight that wait, the others after the time limit', async () => {
    const clock = manualClock();
    const { reader, results } = make({ program: FAULTS, clock, timeoutMs: 2_000 });
    await reader.read(FINE);
    const spinning = reader.read(SPIN);
    const waiting = Array.from({ length: 8 }, () => reader.read(FINE));
    expect(await reader.read(FINE)).toBeNull();
    expect(results()).toEqual(['found', 'skipped']);
    clock.advance(2_000);
    expect(await Promise.all([spinning, ...waiting])).toEqual(Array(9).fill(null));
    expect(results().sort()).toEqual(['found', ...Array(9).fill('skipped'), 'timed_out']);
    expect(await reader.read(FINE)).toBe('77');
  });

  it('are given up when it stops', async () => {
    const { reader, results } = make({ program: FAULTS });
    await reader.read(FINE);
    const underWay = [SPIN, FINE, FINE].map((picture) => reader.read(picture));
    await reader.stop();
    expect(await Promise.all(underWay)).toEqual([null, null, null]);
    expect(results()).toEqual(['found']);
    await reader.stop();
  });
});
