import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { manualClock } from '#mner/clock.js';
import { createDecoder, type DecoderOptions, type ProcessDecoder } from '#mner/image/decode.js';
import type { Event } from '#mner/telemetry/events.js';
import { seen } from '../support/seen.js';
import { decoderConformance } from './decoder-conformance.js';
import { animation, GREEN, plain, quarters, RED, whitePng } from './pictures.js';

decoderConformance('in child processes', createDecoder);

const SIZE = 32;
const FAULTS = 'test/image/programs/decode-fault.mjs';
const decoders: ProcessDecoder[] = [];
afterEach(() => Promise.all(decoders.splice(0).map((decoder) => decoder.stop())));

function make(options: Partial<DecoderOptions> = {}) {
  const events: Event[] = [];
  const decoder = createDecoder({ size: SIZE, emit: (event) => events.push(event), ...options });
  decoders.push(decoder);
  const ends = () => events.flatMap((event) => (event.type === 'decoder_end' ? [event.reason] : []));
  return { decoder, events, ends };
}

/** Bytes that pass for a PNG and tell the program of faults what to do. */
function fault(what: string): Buffer {
  return Buffer.from(`\x89PNG\r\n\x1a\n${what}`, 'latin1');
}
const picture = () => quarters().png().toBuffer();

describe('a picture that hurts its decoder', () => {
  it.for([
    ['crashes', 'die', ['crashed', 'crashed'], 'the decoder crashes on it'],
    ['spins', 'spin', ['timed_out'], 'decoding it takes more than 3000 ms'],
    ['gives nonsense', 'lie', ['crashed', 'crashed'], 'the decoder crashes on it'],
  ] as const)(
    'fault 45: %s: it alone is unreadable, its neighbours are decoded',
    async ([does, what, expected, detail], { task }) => {
      const { decoder, ends } = make({ program: FAULTS, timeoutMs: 3000 });
      const all = ['a', 'b', what, 'c', 'd', 'e'].map((name) => decoder.decode(fault(name)));
      const [a, b, bad, ...rest] = await Promise.all(all);
      expect(bad).toEqual({ status: 'unreadable', detail });
      expect([a, b, ...rest].map((decoded) => decoded?.status)).toEqual(Array(5).fill('ok'));
      expect(ends()).toEqual(expected);
      seen(task, `one that ${does}: ${ends().length} processes ended, its 5 neighbours decoded`);
    },
  );

  it('fault 45: eats memory: it is unreadable, whoever stops it first, and its neighbours are decoded', async ({
    task,
  }) => {
    const { decoder } = make({ program: FAULTS, maxMemoryBytes: 200 * 2 ** 20 });
    const [bad, good] = await Promise.all([decoder.decode(fault('eat')), decoder.decode(fault('a'))]);
    expect(bad?.status).toBe('unreadable');
    expect(good?.status).toBe('ok');
    expect((await decoder.decode(fault('b'))).status).toBe('ok');
    seen(task, 'one that eats memory: stopped at 200 MiB, its neighbour decoded');
  });

  it('says more than it was asked: its process is not used again', async () => {
    const { decoder } = make({ program: FAULTS, concurrency: 1 });
    expect((await decoder.decode(fault('babble'))).status).toBe('ok');
    expect((await decoder.decode(fault('a'))).status).toBe('ok');
    expect((await decoder.decode(fault('b'))).status).toBe('ok');
  });

  it('a true picture that needs more than the limit is unreadable, and with more memory it is a picture', async () => {
    const bytes = await quarters(2400).ensureAlpha().toColourspace('rgb16').png({ progressive: true }).toBuffer();
    expect((await sharp(bytes).metadata()).depth).toBe('ushort');
    const { decoder, ends } = make({ maxMemoryBytes: 120 * 2 ** 20, concurrency: 1, timeoutMs: 20_000 });
    expect((await decoder.decode(await picture())).status).toBe('ok');
    const [pid] = decoder.pids;
    expect((await decoder.decode(bytes)).status).toBe('unreadable');
    if (process.platform === 'linux') expect(peakBytes(pid ?? 0)).toBeLessThan(120 * 2 ** 20);
    expect((await decoder.decode(await picture())).status).toBe('ok');
    expect(ends().filter((reason) => reason !== 'memory')).toEqual([]);
    const { decoder: larger } = make({ timeoutMs: 20_000 });
    expect((await larger.decode(bytes)).status).toBe('ok');
  });
});

it.runIf(process.platform === 'linux').for([
  // By its header, before anything is unpacked.
  ['a PNG of 17,000 x 17,000', 'too_large', 40, async () => whitePng(17_000, 17_000)],
  // 1000 frames are 66 MB.
  ['a GIF of 1000 frames', 'ok', 40, () => animation(Array(1000).fill(GREEN), 128).gif().toBuffer()],
  ['half a JPEG of 12 megapixels', 'unreadable', 120, () => halfOf(plain(RED, 4000, 3000).jpeg().toBuffer())],
  ['the largest PNG that is taken', 'ok', 400, async () => whitePng(5_000, 5_000)],
] as const)('fault 44: %s takes no more memory than it should', async ([what, status, most, drawn], { task }) => {
  const { decoder, ends } = make({ concurrency: 1, timeoutMs: 60_000 });
  const bytes = await drawn();
  expect((await decoder.decode(await picture())).status).toBe('ok');
  const [pid = 0] = decoder.pids;
  const before = peakBytes(pid);
  expect((await decoder.decode(bytes)).status).toBe(status);
  expect(decoder.pids).toEqual([pid]);
  const more = (peakBytes(pid) - before) / 2 ** 20;
  expect(more).toBeLessThan(most);
  expect(ends()).toEqual([]);
  seen(task, `${what}, ${Math.round(bytes.length / 1000)} kB: ${status}, ${Math.round(more)} MiB more in its process`);
});

it('fault 44: an SVG never reaches a decoding process', async ({ task }) => {
  const { decoder } = make();
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="17000" height="17000"/>');
  expect((await decoder.decode(svg)).status).toBe('unreadable');
  expect(decoder.pids).toEqual([]);
  seen(task, 'an SVG of 17000x17000: unreadable, no process started');
});

describe('a decoding process that is hurt', () => {
  it('killed with -9 while idle: the next picture is decoded', async () => {
    const { decoder, ends } = make();
    await decoder.decode(await picture());
    process.kill(decoder.pids[0] ?? 0, 'SIGKILL');
    expect((await decoder.decode(await picture())).status).toBe('ok');
    expect(ends()).toEqual(['crashed']);
  });

  it('killed with -9 under a picture: its successor decodes it', async () => {
    const { decoder, ends } = make();
    await decoder.decode(await picture());
    const [pid = 0] = decoder.pids;
    process.kill(pid, 'SIGSTOP');
    const underWay = decoder.decode(await picture());
    process.kill(pid, 'SIGKILL');
    expect((await underWay).status).toBe('ok');
    expect(decoder.pids).not.toContain(pid);
    expect(ends()).toEqual(['crashed']);
  });

  it('that has used up its CPU time is replaced without a word, idle or under a picture', async () => {
    const { decoder, events } = make();
    for (const underPicture of [false, true]) {
      await decoder.decode(await picture());
      const [pid = 0] = decoder.pids;
      process.kill(pid, 'SIGSTOP');
      const next = underPicture ? decoder.decode(await picture()) : null;
      process.kill(pid, 'SIGXCPU');
      process.kill(pid, 'SIGCONT');
      expect((await (next ?? decoder.decode(await picture()))).status).toBe('ok');
      expect(decoder.pids).not.toContain(pid);
    }
    expect(events).toEqual([]);
  });

  it('frozen with SIGSTOP: killed at the limit, its picture is unreadable, the next one is decoded', async () => {
    const { decoder, ends } = make({ timeoutMs: 3000 });
    await decoder.decode(await picture());
    const [pid = 0] = decoder.pids;
    process.kill(pid, 'SIGSTOP');
    expect(await decoder.decode(await picture())).toMatchObject({ status: 'unreadable' });
    expect(isAlive(pid)).toBe(false);
    expect(ends()).toEqual(['timed_out']);
    expect((await decoder.decode(await picture())).status).toBe('ok');
  });

  it('that never gets ready: no picture is blamed, and tries are spaced out', async () => {
    const clock = manualClock();
    const { decoder, events, ends } = make({ program: 'test/image/programs/decode-stillborn.mjs', clock });
    const unavailable = { code: 'decoder_unavailable' };
    const tries = async () => {
      await expect(decoder.decode(fault('a'))).rejects.toMatchObject(unavailable);
      await expect(decoder.decode(fault('b'))).rejects.toMatchObject(unavailable);
      return ends().length;
    };
    expect(await tries()).toBe(1);
    clock.advance(500);
    expect(await tries()).toBe(2);
    clock.advance(500);
    expect(await tries()).toBe(2);
    clock.advance(500);
    expect(await tries()).toBe(3);
    expect(JSON.stringify(events)).toContain('no room');
  });

  it('gets nothing of the environment, so no secrets either', async () => {
    process.env.MNER_TEST_SECRET = 'secret';
    const { decoder } = make({ program: FAULTS });
    const decoded = await decoder.decode(fault('environment'));
    delete process.env.MNER_TEST_SECRET;
    if (decoded.status === 'ok') throw new Error('there is no list of names');
    const known =
      /^(PATH|LD_LIBRARY_PATH|NODE_CHANNEL_\w+|MALLOC_ARENA_MAX|UV_THREADPOOL_SIZE|VIPS_\w+|PWD|OLDPWD|SHLVL|_)$/;
    expect(decoded.detail.split(' ').filter((name) => !known.test(name))).toEqual([]);
  });
});

describe('processes', () => {
  it('are there from the first picture on, one while there is one picture at a time', async () => {
    const { decoder } = make({ concurrency: 3 });
    expect(decoder.pids).toEqual([]);
    await decoder.decode(Buffer.from('<html>'));
    expect(decoder.pids).toEqual([]);
    for (let round = 0; round < 3; round += 1) await decoder.decode(await picture());
    expect(decoder.pids).toHaveLength(1);
    const bytes = await picture();
    const all = await Promise.all(Array.from({ length: 20 }, () => decoder.decode(bytes)));
    expect(new Set(all.map(({ status }) => status))).toEqual(new Set(['ok']));
    expect(decoder.pids).toHaveLength(3);
  });

  it('are gone once the decoder is stopped, be it under a picture that spins', async () => {
    const { decoder, ends } = make({ program: FAULTS });
    await decoder.decode(fault('a'));
    const spins = decoder.decode(fault('spin'));
    const { pids } = decoder;
    const refused = expect(spins).rejects.toMatchObject({ code: 'decoder_unavailable' });
    await decoder.stop();
    await refused;
    expect(pids.length).toBeGreaterThan(0);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(ends()).toEqual([]);
  });

  it('keep nobody alive who has forgotten to stop them, and end with a worker', async () => {
    const parent = spawn(process.execPath, ['test/image/programs/decode-parent.mjs'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [[line], [code]] = (await Promise.all([once(parent.stdout, 'data'), once(parent, 'exit')])) as [
      [Buffer],
      [number],
    ];
    const [status, pid] = line.toString().trim().split(' ');
    expect(status).toBe('ok');
    expect(code).toBe(0);
    await vi.waitFor(() => expect(isAlive(Number(pid))).toBe(false), { timeout: 10_000 });
  });

  it('do not outlive a worker that is killed with -9', async () => {
    const args = ['test/image/programs/decode-parent.mjs', 'wait'];
    const parent = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line.toString().trim().split(' ')[1]);
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000 });
  });
});

async function halfOf(picture: Promise<Buffer>): Promise<Buffer> {
  const bytes = await picture;
  return bytes.subarray(0, Math.floor(bytes.length / 2));
}

/** The most memory that a process ever had in use. */
function peakBytes(pid: number): number {
  return Number(/^VmHWM:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
