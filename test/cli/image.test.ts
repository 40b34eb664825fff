import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Seen } from '#mner/cli/image/seen.js';
import { startRedis } from '#mner/local/redis.js';
import { answer, type Behave, evilServer } from '../image/evil-server.js';
import { plain, pngHeader, quarters, RED } from '../image/pictures.js';
import { TINY, TOY_BUNDLES } from '../support/servers.js';
import { mner } from '../support/worker-process.js';

// Each test starts a whole command, or several.
vi.setConfig({ testTimeout: 300_000 });

const ROOT = resolve(import.meta.dirname, '../..');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mner-image-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// A busy machine must not decide what becomes of a picture.
const env = { ...TINY, MNER_REDIS_URL: 'none', MNER_IMAGE_BUDGET_MS: '60000', MNER_IMAGE_FETCH_TIMEOUT_MS: '20000' };

function file(name: string, bytes: Buffer | string): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const jpeg = () => quarters(320).jpeg().toBuffer();

/** What it says of a picture in JSON. */
async function seen(source: string, args: readonly string[] = [], more: Record<string, string> = {}): Promise<Seen> {
  const { code, stdout, stderr } = await mner(['image', source, '--json', ...args], { env: { ...env, ...more } });
  expect([code, stderr]).toEqual([0, args.includes('--save') ? expect.any(String) : '']);
  return JSON.parse(stdout) as Seen;
}

async function served(behave: Behave) {
  const paths: string[] = [];
  const server = await evilServer((path, ...rest) => {
    paths.push(path);
    behave(path, ...rest);
  });
  onTestFinished(() => server.stop());
  return { url: `http://${server.host}`, paths, allow: { MNER_IMAGE_ALLOW: server.host } };
}

it('shows for people what the pipeline sees in a picture', async () => {
  const path = file('picture.jpg', await jpeg());
  const { code, stdout, stderr } = await mner(['image', path], { env });
  expect([code, stderr]).toEqual([0, '']);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.slice(0, 4)).toEqual([
    `picture   ${path}`,
    'status    used',
    'cache     miss',
    expect.stringMatching(/^file {6}\d+ bytes, jpeg, 320 × 320$/),
  ]);
  expect(stdout).toMatch(/^tag {7}\S.* \d+ %$/m);
  expect(stdout).toMatch(/^object {4}\S.* \d+ % at \d+ %, \d+ %, \d+ %, \d+ %$/m);
  expect(lines.at(-1)).toMatch(/^time {6}cache_get .* ms, decode_image .* ms, image_features .* ms$/);
  expect(stdout).not.toMatch(/^(relevance|words|redirect)/m);
});

it('as JSON has a shape that scripts read, sides upright, and the relevance where there is a text', async () => {
  const turned = await plain(RED, 200, 100).withMetadata({ orientation: 6 }).jpeg().toBuffer();
  const it = await seen(file('turned.jpg', turned), ['--text', 'Kobe Bryant in Los Angeles']);
  const share = expect.toSatisfy((value: number) => value >= 0 && value <= 1);
  expect(it).toEqual({
    picture: join(folder, 'turned.jpg'),
    status: 'used',
    detail: null,
    redirects: [],
    cache: 'miss',
    bytes: turned.length,
    format: 'jpeg',
    width: 100,
    height: 200,
    tags: expect.arrayContaining([{ tag: expect.any(String), score: share }]),
    objects: expect.arrayContaining([{ object: expect.any(String), score: share, box: [share, share, share, share] }]),
    words: null,
    relevance: share,
    milliseconds: expect.objectContaining({ decode_image: expect.any(Number), inference: expect.any(Number) }),
  });
});

/** Places of a drawing that are no longer in the picture's colour. */
async function changed(path: string, [r, g, b]: readonly number[]) {
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const differs = (x: number, y: number) => {
    const at = (Math.min(height - 1, Math.floor(y)) * width + Math.min(width - 1, Math.floor(x))) * info.channels;
    return [r, g, b].some((value = 0, channel) => Math.abs((data[at + channel] ?? 0) - value) > 8);
  };
  return { width, height, differs };
}

it('--save draws the boxes of the objects, and with --text a veil over the regions that count less', async () => {
  const path = file('plain.png', await plain(RED, 1500, 900).png().toBuffer());
  const [boxes, veiled] = [join(folder, 'boxes.png'), join(folder, 'veiled.png')];
  const [it] = await Promise.all([
    seen(path, ['--save', boxes]),
    seen(path, ['--save', veiled, '--text', 'Kobe Bryant in Los Angeles']),
  ]);
  const bare = await changed(boxes, RED);
  expect([bare.width, bare.height]).toEqual([1024, 614]);
  expect(it.objects.length).toBeGreaterThan(0);
  for (const { box } of it.objects) {
    const [x0, y0, x1, y1] = box.map((share, at) => share * (at % 2 === 0 ? bare.width : bare.height)) as [
      number,
      number,
      number,
      number,
    ];
    expect(bare.differs((x0 + x1) / 2, y0), 'the upper edge').toBe(true);
    expect(bare.differs(Math.min(x1, bare.width - 1), (y0 + y1) / 2), 'the right edge').toBe(true);
  }
  const outside = Array.from({ length: 100 }, (_, at) => [at * 10 + 5, bare.height - 20] as const);
  const clear = outside.filter(([x, y]) =>
    it.objects.every(({ box: [x0, y0, x1, y1] }) => {
      const [across, down] = [x / bare.width, y / bare.height];
      return across < x0 - 0.02 || across > x1 + 0.02 || down < y0 - 0.02 || down > y1 + 0.02;
    }),
  );
  expect(clear.length).toBeGreaterThan(50);
  expect(clear.filter(([x, y]) => bare.differs(x, y))).toEqual([]);
  // This bundle weighs its regions nearly alike, so the veil is thin (draw.test.ts has a thick one).
  const pixels = await Promise.all([boxes, veiled].map((saved) => sharp(saved).raw().toBuffer()));
  expect(pixels[0]?.length).toBe(pixels[1]?.length);
  expect(pixels[0]?.equals(pixels[1] as Buffer)).toBe(false);
});

it('a picture from the cache is not fetched; --save fetches it anew, and draws what the decoding process took', async () => {
  const redis = await startRedis();
  onTestFinished(() => redis.stop());
  let body: Buffer = await jpeg();
  const { url, paths, allow } = await served((_, socket) => void socket.write(answer('200 OK', {}, body)));
  const more = { ...allow, MNER_REDIS_URL: redis.url, MNER_REDIS_TIMEOUT_MS: '5000' };
  const path = `/${randomUUID()}.jpg`;
  expect(await seen(url + path, [], more)).toMatchObject({
    status: 'used',
    cache: 'miss',
    bytes: body.length,
    width: 320,
  });
  const again = await seen(url + path, [], more);
  expect(again).toMatchObject({ status: 'used', cache: 'hit', bytes: null, format: null, width: null, redirects: [] });
  expect(paths).toEqual([path]);
  const save = join(folder, 'hit.webp');
  expect(await seen(url + path, ['--save', save], more)).toMatchObject({
    cache: 'hit',
    bytes: body.length,
    width: 320,
  });
  expect(paths).toEqual([path, path]);
  expect(await sharp(save).metadata()).toMatchObject({ format: 'webp', width: 480, height: 480 });

  // What stands there now is something else, which no look has ever accepted.
  body = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>');
  const later = await mner(['image', url + path, '--save', join(folder, 'svg.png')], { env: { ...env, ...more } });
  expect(later.code).toBe(0);
  expect(later.stdout).toMatch(/^file {6}62 bytes$/m);
  expect(later.stderr).toBe(
    'Nothing is saved: the picture was remembered, and is unreadable now (this is no JPEG, PNG, WebP or GIF).\n',
  );
  body = pngHeader(17_000, 17_000);
  const larger = await mner(['image', url + path, '--save', join(folder, 'large.png')], { env: { ...env, ...more } });
  expect([larger.code, larger.stderr]).toEqual([
    0,
    'Nothing is saved: the picture was remembered, and is too_large now (the picture has 17000 x 17000 pixels).\n',
  ]);
});

it('a picture whose size alone is wanted is decoded once, one that is drawn once more', async () => {
  // A copy whose decoding processes leave a mark as they start.
  const copy = mkdtempSync(join(folder, 'copy-'));
  for (const part of ['dist', 'package.json']) cpSync(join(ROOT, part), join(copy, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'));
  const [child, marks] = [join(copy, 'dist/image/decode-child.js'), join(copy, 'marks')];
  const mark = `import { appendFileSync } from 'node:fs';\nappendFileSync(${JSON.stringify(marks)}, 'x');\n`;
  writeFileSync(child, mark + readFileSync(child, 'utf8'));
  const through = ['/bin/sh', '-c', `shift; exec "$0" ${join(copy, 'dist/cli/main.js')} "$@"`];
  const path = file('once.jpg', await jpeg());
  const once = await mner(['image', path, '--json'], { env, through });
  expect(JSON.parse(once.stdout)).toMatchObject({ status: 'used', width: 320, height: 320 });
  expect(readFileSync(marks, 'utf8')).toBe('x');
  const saved = await mner(['image', path, '--save', join(copy, 'saved.png')], { env, through });
  expect(saved.code).toBe(0);
  expect(readFileSync(marks, 'utf8')).toBe('xxx');
});

it('says of a picture that cannot be fetched why, and where it was sent on to', async () => {
  const { url, allow } = await served((path, socket, head) =>
    path === '/away'
      ? socket.write(answer('302 Found', { location: '/gone.jpg?token=1' }))
      : says404(path, socket, head),
  );
  const says404: Behave = (_, socket) => void socket.write(answer('404 Not Found'));
  const [gone, refused, unreachable] = await Promise.all([
    seen(`${url}/away`, [], allow),
    seen('http://169.254.169.254/latest/meta-data'),
    seen('http://127.0.0.1:1/a.jpg', [], { MNER_IMAGE_ALLOW: '127.0.0.1:1' }),
  ]);
  const nothing = { cache: 'miss', bytes: null, format: null, width: null, height: null, tags: [], objects: [] };
  expect(gone).toMatchObject({ ...nothing, status: 'not_found', detail: 'HTTP 404', redirects: [`${url}/gone.jpg`] });
  expect(refused).toMatchObject({ ...nothing, status: 'refused', detail: expect.stringMatching(/\w/), redirects: [] });
  expect(unreachable).toMatchObject({
    ...nothing,
    status: 'unreachable',
    detail: 'the connection failed (ECONNREFUSED)',
  });
});

it('says of a bundle that reads nothing of pictures that it is why', async () => {
  const path = file('unread.jpg', await jpeg());
  const { code, stdout } = await mner(['image', path], {
    env: { ...env, MNER_MODELS_DIR: TOY_BUNDLES, MNER_BUNDLE: 'toy-characters' },
  });
  expect([code, stdout.split('\n')]).toEqual([
    0,
    [
      `picture   ${path}`,
      'status    skipped: the bundle reads nothing of pictures',
      'cache     not asked',
      'file      not fetched',
      '',
    ],
  ]);
});

describe('a picture that is none', () => {
  it.concurrent.for<[what: string, make: () => Promise<string> | string, says: Partial<Seen>]>([
    [
      'an SVG is not opened: neither its size nor its format is told',
      () => file('a.svg', '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
      { status: 'unreadable', detail: 'this is no JPEG, PNG, WebP or GIF', bytes: 62, format: null, width: null },
    ],
    [
      'half a JPEG is unreadable, and the decoder says why',
      async () => file('half.jpg', (await jpeg()).subarray(0, 1000)),
      { status: 'unreadable', detail: 'the picture is damaged', bytes: 1000, format: 'jpeg', width: null },
    ],
    [
      'a file of 3 GB is too large, unread',
      () => {
        const path = file('long.jpg', '');
        truncateSync(path, 3 * 2 ** 30);
        return path;
      },
      { status: 'too_large', detail: 'the file is longer than 8388608 bytes', bytes: null },
    ],
    [
      'a pipe that nobody writes to is not waited for',
      async () => {
        const path = join(folder, 'pipe');
        await promisify(execFile)('mkfifo', [path]);
        return path;
      },
      { status: 'unreachable', detail: 'this is no file' },
    ],
  ])('%s', async ([, make, says], { expect }) => {
    const save = join(folder, 'never.png');
    const { code, stdout, stderr } = await mner(['image', await make(), '--json', '--save', save], { env });
    expect(JSON.parse(stdout)).toMatchObject(says);
    expect([code, stderr]).toEqual([0, `Nothing is saved: the picture is ${says.status}.\n`]);
  });
});

it('says in one sentence what it cannot use, with an exit code', async () => {
  const path = file('good.jpg', await jpeg());
  const nowhere = join(folder, 'none', 'x.png');
  const [missing, format, unwritten] = await Promise.all([
    mner(['image', join(folder, 'none.jpg')], { env }),
    mner(['image', path, '--save', 'x.gif'], { env }),
    mner(['image', path, '--save', nowhere], { env }),
  ]);
  expect(missing).toEqual({
    code: 2,
    stdout: '',
    stderr: `mner: The picture ${join(folder, 'none.jpg')} does not exist.\n`,
  });
  expect(format).toEqual({
    code: 2,
    stdout: '',
    stderr: 'mner: --save takes a file that ends in .png, .jpg, .jpeg, .webp, not "x.gif".\n',
  });
  expect(unwritten).toEqual({
    code: 2,
    stdout: expect.stringContaining('status    used'),
    stderr: `mner: The file ${nowhere} cannot be written (ENOENT).\n`,
  });
});
