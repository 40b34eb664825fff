import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BLUE, plain, RED } from '../image/pictures.js';
import { TINY, TINY_BUNDLES, TOY_BUNDLES } from '../support/servers.js';
import { mner } from '../support/worker-process.js';

const CONLL = `IMGID:1
Kobe\tB-PER
Bryant\tI-PER
in\tO
Los\tB-LOC
Angeles\tI-LOC

IMGID:2
@\tO
NBA\tB-ORG
plays\tO
in\tO
London\tB-LOC

IMGID:3
Nothing\tO
here\tO

IMGID:4
Abbey\tB-OTHER
Road\tI-OTHER
by\tO
The\tI-ORG
Beatles\tI-ORG
`;

let folder: string;
let data: string;
let pictures: string;
let captions: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mner-evaluate-'));
  data = join(folder, 'tweets.conll');
  pictures = join(folder, 'pictures');
  captions = join(folder, 'captions.tsv');
  writeFileSync(captions, '1\ta basketball player on a court\n3\t\n4\tfour men cross a road\n9\ta cat\n');
  writeFileSync(data, CONLL);
  mkdirSync(pictures);
  writeFileSync(join(pictures, '1.jpg'), await plain(RED).jpeg().toBuffer());
  writeFileSync(join(pictures, '3.jpg'), await plain(BLUE).jpeg().toBuffer());
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const evaluate = (...args: string[]) => mner(['evaluate', '--data', data, ...args], { env: TINY });

const score = (support: number) => ({
  precision: expect.any(Number),
  recall: expect.any(Number),
  f1: expect.any(Number),
  support,
});
/** Random weights find what they find; what stands in the file is counted for certain. */
const wanted = {
  tweets: 4,
  // A chunk that begins with I- is one when read leniently, and none when read strictly.
  lenient: { micro: score(6), by_type: { PER: score(1), LOC: score(2), ORG: score(2), MISC: score(1) } },
  strict: { micro: score(5), by_type: { PER: score(1), LOC: score(2), ORG: score(1), MISC: score(1) } },
};

it('--json prints the scores of both ways of counting, with --raw the same supports', async () => {
  const [gold, raw] = await Promise.all([evaluate('--json'), evaluate('--json', '--raw')]);
  expect([gold.code, gold.stderr, raw.code, raw.stderr]).toEqual([0, '', 0, '']);
  for (const { stdout } of [gold, raw]) {
    const { intervals, calibration, slices, ...promised } = JSON.parse(stdout);
    expect(promised).toEqual(wanted);
    const { lenient, strict } = promised;
    for (const way of ['lenient', 'strict'] as const) {
      const [low, high] = intervals[way].micro;
      expect(low).toBeLessThanOrEqual(promised[way].micro.f1);
      expect(high).toBeGreaterThanOrEqual(promised[way].micro.f1);
      expect(Object.keys(intervals[way].by_type)).toEqual(['PER', 'LOC', 'ORG', 'MISC']);
    }
    expect(calibration.bins).toHaveLength(10);
    expect(calibration.ece).toBeGreaterThanOrEqual(0);
    expect(slices).toHaveLength(5);
    for (const { precision, recall, f1 } of [lenient.micro, strict.micro]) {
      expect(f1).toBeCloseTo(precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall), 6);
      expect(Math.max(precision, recall)).toBeLessThanOrEqual(100);
    }
  }
});

it('prints a table for people; says how many pictures it used, and which convention it chose', async () => {
  const [withPictures, without] = await Promise.all([
    evaluate('--images', pictures),
    evaluate('--images', pictures, '--no-image', '--mentions', 'ignore'),
  ]);
  expect([withPictures.code, without.code]).toEqual([0, 0]);
  expect(withPictures.stdout).toMatch(/^TYPE +CHUNKS +PRECISION +RECALL +F1 +95 % +SUPPORT\n/);
  expect(withPictures.stdout).toMatch(/^PER +lenient +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d +\d+\.\d to \d+\.\d +1$/m);
  expect(withPictures.stdout).toMatch(/^all +strict .* 5$/m);
  expect(withPictures.stdout).toMatch(/^expected calibration error 0\.\d{4} over \d+ entities$/m);
  expect(withPictures.stdout).toMatch(/^tweets with a picture +2 /m);
  // Lone `@` before a word, as in Twitter-2017.
  expect(withPictures.stderr).toBe('4 tweets, 2 with a picture, bundle ham-tiny, mentions entity\n');
  expect(without.stderr).toBe('4 tweets, 0 with a picture, bundle ham-tiny, mentions ignore\n');
});

it('parts entities by what training held, and compares two bundles on the same tweets, the same way for the same seed', async () => {
  const models = join(folder, 'models');
  cpSync(TINY_BUNDLES, models, { recursive: true });
  cpSync(join(models, 'ham-tiny'), join(models, 'ham-mute'), { recursive: true });
  const path = join(models, 'ham-mute', 'manifest.json');
  const manifest = JSON.parse(readFileSync(path, 'utf8'));
  // A head that never leaves O.
  const entity = {
    ...manifest.heads.entity,
    start: manifest.heads.entity.start.map((_: number, i: number) => -9999 * Math.sign(i)),
  };
  entity.transitions = entity.transitions.map((row: number[], i: number) =>
    i === 0 ? row.map((score, j) => (j === 0 ? score : -9999)) : row,
  );
  const heads = { ...manifest.heads, entity };
  writeFileSync(path, JSON.stringify({ ...manifest, name: 'ham-mute', heads }));
  const args = ['evaluate', '--data', data, '--train', data, '--against', 'ham-mute', '--samples', '200'];
  const env = { ...TINY, MNER_MODELS_DIR: models };
  const runs = await Promise.all([
    mner([...args, '--json'], { env }),
    mner([...args, '--json', '--seed', '1'], { env }),
    mner(args, { env }),
  ]);
  expect(runs.map(({ code }) => code)).toEqual([0, 0, 0]);
  expect(runs[1]!.stdout).toBe(runs[0]!.stdout);
  const { lenient, slices, against } = JSON.parse(runs[0]!.stdout);
  expect(slices.slice(0, 2)).toMatchObject([
    { slice: 'entities seen in training', score: { support: 6 } },
    { slice: 'entities unseen in training', score: { support: 0 } },
  ]);
  expect(against).toMatchObject({ bundle: 'ham-mute', lenient: { micro: { f1: 0, support: 6 } } });
  expect(against.comparison.lenient.difference).toBe(lenient.micro.f1);
  expect(against.comparison.lenient.p).toBeGreaterThan(0);
  expect(runs[2]!.stdout).toMatch(/^CHUNKS +ham-tiny +ham-mute +DIFFERENCE +95 % +P\nlenient /m);
});

it('--captions feeds a bundle that reads descriptions; an empty caption, and one of no tweet, count for nothing', async () => {
  const models = join(folder, 'toys');
  cpSync(TOY_BUNDLES, models, { recursive: true });
  cpSync(TINY_BUNDLES, models, { recursive: true });
  const env = { ...TINY, MNER_MODELS_DIR: models, MNER_BUNDLE: 'toy-context' };
  const read = (...args: string[]) => mner(['evaluate', '--data', data, ...args], { env });
  const [without, withCaptions, raw] = await Promise.all([
    read(),
    read('--captions', captions, '--against', 'ham-tiny'),
    read('--captions', captions, '--raw', '--json'),
  ]);
  expect([without.code, withCaptions.code, raw.code]).toEqual([0, 0, 0]);
  expect(without.stderr).toBe('4 tweets, 0 with a picture, bundle toy-context, mentions entity\n');
  expect(withCaptions.stderr).toBe(
    'ham-tiny reads no captions: it read the texts alone.\n4 tweets, 2 with a caption, bundle toy-context, mentions entity\n',
  );
  // Every word of a tweet with a context is a person to this toy, and no other word is anything.
  expect(without.stdout).toMatch(/^expected calibration error 0\.0000 over 0 entities$/m);
  expect(withCaptions.stdout).toMatch(/^expected calibration error 1\.0000 over 10 entities$/m);
  expect(JSON.parse(raw.stdout).lenient.by_type.PER).toMatchObject({ recall: 0, support: 1 });
});

it('says in one sentence what it cannot use', async () => {
  const empty = join(folder, 'empty.conll');
  writeFileSync(empty, '\n\n');
  const refused = await Promise.all([
    evaluate('--captions', captions),
    evaluate('--captions', 'nowhere.tsv'),
    evaluate('--captions', captions, '--no-image'),
    evaluate('--captions', data),
    evaluate('--mentions', 'perhaps'),
    evaluate('--images', 'nowhere'),
    evaluate('--train', 'nowhere.txt'),
    evaluate('--samples', 'many'),
    evaluate('--against', 'nobody'),
    mner(['evaluate', '--data', 'nowhere.conll'], { env: TINY }),
    mner(['evaluate', '--data', empty], { env: TINY }),
  ]);
  const sentence = (says: RegExp) => ({ code: 2, stdout: '', stderr: expect.stringMatching(says) });
  expect(refused).toEqual([
    sentence(/^mner: --captions needs a bundle that reads descriptions of pictures .*; ham-tiny does not\.\n$/),
    sentence(/^mner: The file nowhere\.tsv cannot be read\.\n$/),
    sentence(/^mner: --captions and --no-image exclude each other\.\n$/),
    sentence(/^mner: Line 1 of the captions is not an image id, a tab and a caption\.\n$/),
    sentence(/^mner: --mentions takes auto, ignore or entity, not "perhaps"\.\n$/),
    sentence(/^mner: The folder of pictures nowhere does not exist\.\n$/),
    sentence(/^mner: The file nowhere\.txt cannot be read\.\n$/),
    sentence(/^mner: --samples takes a number from 100 to 100000, not "many"\.\n$/),
    { ...sentence(/^mner: There is no bundle nobody in .*\n$/), code: 3 },
    sentence(/^mner: The file nowhere\.conll cannot be read\.\n$/),
    sentence(/^mner: The file .*empty\.conll holds no labelled tweet in CoNLL form\.\n$/),
  ]);
  // Eleven processes at once.
}, 120_000);
