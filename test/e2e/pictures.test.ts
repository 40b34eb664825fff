import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type PictureServer, servePictures } from '#mner/local/picture-server.js';
import { startRedis } from '#mner/local/redis.js';
import type { EntityRecord } from '#mner/ner/record.js';
import { answer, type Behave, evilServer } from '../image/evil-server.js';
import { plain, RED } from '../image/pictures.js';
import { seen } from '../support/seen.js';
import { NO_SERVERS } from '../support/servers.js';
import { eventually, metric, tweet, type WorkerStage, workerStage } from '../support/worker-stage.js';

const ROOT = resolve(import.meta.dirname, '../..');
/** A busy machine must not decide what becomes of a picture; where a deadline is the subject, a test sets its own. */
const PATIENT = { MNER_IMAGE_BUDGET_MS: '60000', MNER_IMAGE_FETCH_TIMEOUT_MS: '20000' };
const PICTURES = 10;
/** Tweets at once while Redis is away, with what nobody reads: three megabytes. */
const BURST = 600;
const NOTE = 'x'.repeat(5000);
/** Bytes of input in work above which reading stops; the answer that is on its way then, at most a fetch of kafkajs and a batch, is still taken. */
const INFLIGHT_BYTES = 64 * 1024;
const HELD_BYTES = INFLIGHT_BYTES + 1.25 * 1024 * 1024;

async function pictureServer(): Promise<PictureServer> {
  const jpeg = await plain(RED, 320, 240).jpeg().toBuffer();
  const server = await servePictures(new Map(Array.from({ length: PICTURES }, (_, at) => [`/${at}.jpg`, jpeg])));
  onTestFinished(() => server.stop());
  return server;
}

const pictured = (id: string, media: object) => tweet(id, `${id}: Kobe Bryant in Los Angeles`, { media: [media] });
const at = (url: string) => ({ type: 'photo', url: `http://${url}` });

/** The images of these tweets' outputs, as soon as all are out. */
async function imagesOf(stage: WorkerStage, ids: readonly string[]): Promise<EntityRecord['image'][]> {
  const records = await Promise.all(ids.map((id) => stage.out(id)));
  return records.map(({ value }) => (JSON.parse(String(value)) as EntityRecord).image);
}

function counted(words: readonly (string | null)[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[`${word}`] = (counts[`${word}`] ?? 0) + 1;
  return counts;
}

/** One outcome for each tweet, in the order in which they were sent, and no dead letter. */
function expectInOrder(stage: WorkerStage, ids: readonly string[]): void {
  const out = stage.outputs.records.all.map(({ value }) => (JSON.parse(String(value)) as EntityRecord).tweet_id);
  expect(out).toEqual(ids);
  expect(stage.dead.records.all).toEqual([]);
}

describe.skipIf(NO_SERVERS)(`pictures, when what they need fails${NO_SERVERS}`, { timeout: 120_000 }, () => {
  it.for([
    [33, 'killed', 'SIGKILL'],
    [34, 'hung', 'SIGSTOP'],
  ] as const)(
    'fault %i: Redis is %s while tweets flow: every picture is fetched and used, degraded is 1, then 0 again',
    async ([, how, signal], { task }) => {
      const [stage, redis, origin] = await Promise.all([workerStage(), startRedis(), pictureServer()]);
      onTestFinished(async () => {
        redis.signal('SIGCONT');
        await redis.stop();
      });
      const worker = await stage.worker({
        ...PATIENT,
        MNER_REDIS_URL: redis.url,
        // The default, since what is shown here is that a Redis that hangs delays nobody by more.
        MNER_REDIS_TIMEOUT_MS: '50',
        MNER_CACHE_MEMORY_BYTES: '0',
        MNER_INFLIGHT_BYTES: String(INFLIGHT_BYTES),
        MNER_IMAGE_ALLOW: origin.origin,
      });
      const sent: string[] = [];
      const round = async (name: string) => {
        const ids = Array.from({ length: PICTURES }, (_, number) => `${name}-${number}`);
        sent.push(...ids);
        await stage.send(0, ...ids.map((id, number) => pictured(id, at(`${origin.origin}/${number}.jpg`))));
        const images = await imagesOf(stage, ids);
        expect(counted(images.map(({ status }) => status)), name).toEqual({ used: PICTURES });
        return counted(images.map(({ cache }) => cache));
      };
      const degraded = async (value: number) =>
        eventually(async () => (await metric(worker, 'mner_degraded', 'reason="cache"')) === value);

      expect(await round('cold')).toEqual({ miss: PICTURES });
      // A machine under load may answer a trip too late, which is a miss.
      await eventually(async () => (await round(`warm-${sent.length}`)).hit === PICTURES);
      redis.signal(signal);
      let rounds = 0;
      const began = performance.now();
      do {
        rounds += 1;
        expect(await round(`away-${rounds}`)).toEqual({ miss: PICTURES });
        // Nothing piles up behind it: of each round all is let go before the next.
        await eventually(async () => (await metric(worker, 'mner_inflight_bytes')) === 0);
      } while ((await metric(worker, 'mner_degraded', 'reason="cache"')) === 0);
      const each = (performance.now() - began) / (rounds * PICTURES);

      // More at once than may be in work: what is in work and what waits stay within their bounds, and come to nothing.
      const burst = Array.from({ length: BURST }, (_, number) => `burst-${number}`);
      const values = burst.map((id, number) =>
        tweet(id, `${id}: Kobe Bryant`, { media: [at(`${origin.origin}/${number % PICTURES}.jpg`)], note: NOTE }),
      );
      const most = { inflight: 0, queued: 0 };
      const look = async () => {
        const [inflight, queued] = await Promise.all([
          metric(worker, 'mner_inflight_bytes'),
          metric(worker, 'mner_queued_tweets'),
        ]);
        most.inflight = Math.max(most.inflight, inflight);
        most.queued = Math.max(most.queued, queued);
        return inflight + queued;
      };
      sent.push(...burst);
      // In small batches: a fetch ends with a whole one.
      for (let from = 0; from < BURST; from += 20) await stage.send(0, ...values.slice(from, from + 20));
      await eventually(async () => {
        await look();
        return stage.outputs.records.all.length >= sent.length;
      });
      await eventually(async () => (await look()) === 0);
      expect(counted((await imagesOf(stage, burst)).map(({ status }) => status))).toEqual({ used: BURST });
      expect(await metric(worker, 'mner_degraded', 'reason="cache"')).toBe(1);
      expect(most.inflight).toBeGreaterThan(0);
      expect(most.inflight).toBeLessThan(HELD_BYTES);
      expect(most.queued).toBeLessThan(HELD_BYTES / NOTE.length);
      expect((await fetch(`${worker.url}/readyz`)).status).toBe(200);
      if (how === 'killed') await redis.restart();
      else redis.signal('SIGCONT');
      await degraded(0);
      await round('back');
      // What is fetched now is remembered again, or was there all along.
      await eventually(async () => (await round(`again-${sent.length}`)).hit === PICTURES);
      expectInOrder(stage, sent);
      expect(await worker.stop()).toBe(0);
      seen(
        task,
        `${how} under a worker: ${rounds * PICTURES} of ${rounds * PICTURES} pictures fetched and used meanwhile (${each.toFixed(0)} ms each), 0 bytes in flight after each ${PICTURES}, of ${BURST} more at once at most ${most.inflight} bytes in work and ${most.queued} queued, degraded 1, then 0 and hits again`,
      );
    },
  );

  it('fault 45: a picture that crashes the decoder of a worker, and one that spins: their tweets are out as text, their neighbours with theirs', async ({
    task,
  }) => {
    const stage = await workerStage();
    // No picture that we know crashes libvips: so a worker whose decoding process is another one, that does as its picture says.
    const folder = mkdtempSync(join(tmpdir(), 'mner-decoder-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    for (const part of ['dist', 'package.json']) cpSync(join(ROOT, part), join(folder, part), { recursive: true });
    cpSync(join(ROOT, 'test/image/programs/decode-fault.mjs'), join(folder, 'dist/image/decode-child.js'));
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const worker = await stage.worker(PATIENT, ['/bin/sh', '-c', `exec "$0" ${join(folder, 'dist/cli/main.js')} run`]);

    const names = ['a', 'b', 'die', 'c', 'spin', 'd', 'e'];
    const photo = (does: string) => ({
      type: 'photo',
      data: Buffer.from(`\x89PNG\r\n\x1a\n${does}`, 'latin1').toString('base64'),
    });
    await stage.send(0, ...names.map((name) => pictured(name, photo(name))));
    const images = await imagesOf(stage, names);
    expect(images.map(({ status }) => status)).toEqual(
      names.map((name) => (name === 'die' || name === 'spin' ? 'unreadable' : 'used')),
    );
    const ends = (reason: string) => metric(worker, 'mner_image_decoder_ends_total', `reason="${reason}"`);
    // The one that crashes is tried twice, since a first death may be another's doing.
    expect([await ends('crashed'), await ends('timed_out')]).toEqual([2, 1]);
    expect(await metric(worker, 'mner_degraded', 'reason="pictures"')).toBe(0);
    expectInOrder(stage, names);
    expect(await worker.stop()).toBe(0);
    seen(task, 'under a worker, one that crashes it and one that spins: both unreadable, 5 neighbours with theirs');
  });

  const SILENT: Behave = () => {};
  const DRIP: Behave = (_, socket) => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n');
    const drip = setInterval(() => socket.write('x'), 200);
    socket.on('close', () => clearInterval(drip));
  };
  const says =
    (status: string, headers: Record<string, string> = {}): Behave =>
    (_, socket) =>
      socket.write(answer(status, headers));

  it.for([
    [
      40,
      'answers 404, 429 or 500',
      [
        [says('404 Not Found'), 'not_found'],
        [says('429 Too Many Requests', { 'retry-after': '3600' }), 'rate_limited'],
        [says('500 Internal Server Error'), 'unreachable'],
      ],
    ],
    [
      39,
      'is silent, drips, or goes on for ever',
      [
        [SILENT, 'timed_out'],
        [DRIP, 'timed_out'],
        [
          (_, socket) =>
            socket.write(Buffer.concat([answer('200 OK', { 'content-length': '9000000' }), Buffer.alloc(9_000_000)])),
          'too_large',
        ],
      ],
    ],
  ] as const satisfies readonly (readonly [number, string, readonly (readonly [Behave, string])[]])[])(
    'fault %i: an origin that %s: its tweets are out as text and say why, those of a good one have their pictures',
    async ([, what, behaviours], { task }) => {
      const [stage, good] = await Promise.all([workerStage(), pictureServer()]);
      // Each with an address of its own, since what one answers may have its host left alone.
      const asked = behaviours.map(() => 0);
      const evil = await Promise.all(
        behaviours.map(([behave], number) =>
          evilServer((...request) => {
            asked[number] = (asked[number] ?? 0) + 1;
            behave(...request);
          }),
        ),
      );
      onTestFinished(async () => void (await Promise.all(evil.map((one) => one.stop()))));
      const worker = await stage.worker({
        ...PATIENT,
        MNER_IMAGE_FETCH_TIMEOUT_MS: '3000',
        MNER_IMAGE_ALLOW: [good.origin, ...evil.map(({ host }) => host)].join(),
      });
      const ids: string[] = [];
      const values: string[] = [];
      for (const [number, { host }] of evil.entries())
        for (const [name, url] of [
          ['bad', `${host}/a.jpg`],
          ['good', `${good.origin}/${number}.jpg`],
          ['bad-again', `${host}/a.jpg`],
        ] as const) {
          ids.push(`${name}-${number}`);
          values.push(pictured(`${name}-${number}`, at(url)));
        }
      await stage.send(0, ...values);
      const images = await imagesOf(stage, ids);
      const expected = behaviours.flatMap(([, status]) => [status, 'used', status]);
      expect(images.map(({ status }) => status)).toEqual(expected);
      images.forEach(({ relevance }, number) => {
        expect(relevance === null).toBe(expected[number] !== 'used');
      });
      // The tweet that came later shared the answer: each was asked once.
      expect(asked).toEqual(evil.map(() => 1));
      expectInOrder(stage, ids);
      expect(await worker.stop()).toBe(0);
      seen(
        task,
        `under a worker, an origin that ${what}: ${behaviours.map(([, status]) => status).join(', ')}; neighbours used`,
      );
    },
  );

  it('under overload pictures are shed, never tweets: those beyond that may wait are skipped at once', async () => {
    // 32 pictures are fetched at once and are held back; four more wait.
    const [PLACES, WAITING, MORE] = [32, 4, 20];
    const jpeg = await plain(RED, 320, 240).jpeg().toBuffer();
    const held: (() => void)[] = [];
    let holds = true;
    const slow: Behave = (_, socket) => {
      const send = () => socket.write(answer('200 OK', {}, jpeg));
      if (holds) held.push(send);
      else send();
    };
    const [stage, holding, good] = await Promise.all([workerStage(), evilServer(slow), pictureServer()]);
    onTestFinished(() => holding.stop());
    const worker = await stage.worker({
      ...PATIENT,
      MNER_IMAGE_WAITING: String(WAITING),
      MNER_IMAGE_PER_HOST: '64',
      MNER_IMAGE_ALLOW: `${holding.host},${good.origin}`,
    });
    const looked = (status: string) => metric(worker, 'mner_images_total', `status="${status}"`);
    await stage.send(0, pictured('known', at(`${good.origin}/0.jpg`)));
    expect(await imagesOf(stage, ['known'])).toMatchObject([{ status: 'used', cache: 'miss' }]);
    const ids = Array.from({ length: PLACES + WAITING + MORE }, (_, number) => `held-${number}`);
    await stage.send(0, ...ids.map((id, number) => pictured(id, at(`${holding.host}/${number}.jpg`))));
    await holding.asked(PLACES);
    await eventually(async () => (await looked('skipped')) === MORE);
    // What is known is not shed.
    await stage.send(0, pictured('known-too', at(`${good.origin}/0.jpg`)));
    await eventually(async () => (await looked('used')) === 2);
    expect(held).toHaveLength(PLACES);
    holds = false;
    for (const send of held) send();
    const images = await imagesOf(stage, [...ids, 'known-too']);
    expect(counted(images.map(({ status }) => status))).toEqual({ used: PLACES + WAITING + 1, skipped: MORE });
    expectInOrder(stage, ['known', ...ids, 'known-too']);
    expect(await worker.stop()).toBe(0);
  });
});
