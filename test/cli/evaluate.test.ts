import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BLUE, plain, RED } from '../image/pictures.js';
import { TINY } from '../support/servers.js';
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
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'mner-evaluate-'));
  data = join(folder, 'tweets.conll');
  pictures = join(folder, 'pictures');
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
    expect(JSON.parse(stdout)).toEqual(wanted);
    const { lenient, strict } = JSON.parse(stdout);
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
  expect(withPictures.stdout).toMatch(/^TYPE +CHUNKS +PRECISION +RECALL +F1 +SUPPORT\n/);
  expect(withPictures.stdout).toMatch(/^PER +lenient +\d+\.\d\d +\d+\.\d\d +\d+\.\d\d +1$/m);
  expect(withPictures.stdout).toMatch(/^all +strict .* 5$/m);
  // Lone `@` before a word, as in Twitter-2017.
  expect(withPictures.stderr).toBe('4 tweets, 2 with a picture, bundle ham-tiny, mentions entity\n');
  expect(without.stderr).toBe('4 tweets, 0 with a picture, bundle ham-tiny, mentions ignore\n');
});

it('says in one sentence what it cannot use', async () => {
  const empty = join(folder, 'empty.conll');
  writeFileSync(empty, '\n\n');
  const refused = await Promise.all([
    evaluate('--captions', 'captions.tsv'),
    evaluate('--mentions', 'perhaps'),
    evaluate('--images', 'nowhere'),
    mner(['evaluate', '--data', 'nowhere.conll'], { env: TINY }),
    mner(['evaluate', '--data', empty], { env: TINY }),
  ]);
  const sentence = (says: RegExp) => ({ code: 2, stdout: '', stderr: expect.stringMatching(says) });
  expect(refused).toEqual([
    sentence(/^mner: --captions needs a family that reads captions.*\n$/),
    sentence(/^mner: --mentions takes auto, ignore or entity, not "perhaps"\.\n$/),
    sentence(/^mner: The folder of pictures nowhere does not exist\.\n$/),
    sentence(/^mner: The file nowhere\.conll cannot be read\.\n$/),
    sentence(/^mner: The file .*empty\.conll holds no labelled tweet in CoNLL form\.\n$/),
  ]);
});
