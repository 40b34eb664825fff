import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isCanary } from '#mner/serving/roster.js';
import { plain, RED } from '../image/pictures.js';
import { NO_SERVERS } from '../support/servers.js';
import { mner } from '../support/worker-process.js';
import { commandsOf, environmentOf, runCommands } from './commands.js';

const PAGE = readFileSync('docs/adding-a-model.md', 'utf8');
const LINES = commandsOf(PAGE);
const NEEDS_SERVERS = new Set(['topics', 'run', 'produce', 'tail']);
const isAlone = (line: string) => !NEEDS_SERVERS.has(line.split(' ')[2] as string);

/** The bundles of the repository, and the toy beside them, as its Python left it (mner/examples/toy.py). */
let models: string;
let env: Record<string, string>;
beforeAll(() => {
  models = mkdtempSync(join(tmpdir(), 'mner-own-'));
  for (const name of ['ham-int8', 'vision-int8']) symlinkSync(resolve('models', name), join(models, name));
  cpSync('test/fixtures/own/toy', join(models, 'toy'), { recursive: true });
  env = {
    ...environmentOf('own'),
    MNER_MODELS_DIR: models,
    MNER_THREADS: '1',
    MNER_BATCH_TOKENS: '1024',
    MNER_IMAGE_BUDGET_MS: '60000',
  };
});
afterAll(() => rmSync(models, { recursive: true, force: true }));

describe('a model of one’s own', () => {
  it('is verified, read with, and measured by the commands of the page', async () => {
    const alone = LINES.filter(isAlone);
    expect(alone).toHaveLength(5);
    const done = await runCommands(alone, env);
    for (const { line, code, stderr } of done) expect([line, code, code === 0 ? '' : stderr]).toEqual([line, 0, '']);
    const [verify, pretty, explain, scores, compared] = done.map(({ stdout }) => stdout);
    expect(verify).toBe('toy: 2 files as the manifest has them; the self-test passes (3 cases)\n');
    expect(pretty).toContain('Kobe Bryant');
    const records = explain!
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(records).toHaveLength(3);
    for (const { model, image, explain: why } of records) {
      expect(model).toEqual({ family: 'toy', bundle: 'toy', version: '0.1.0', provider: 'cpu' });
      expect([image, why]).toEqual([
        { status: 'none', relevance: null, cache: null },
        { context: null, regions: null },
      ]);
    }
    // It knows these tweets by heart, so the numbers say whether words, heads and CRF mean the same here as in PyTorch.
    expect(Number(/^all +lenient +\S+ +\S+ +(\S+)/m.exec(scores!)?.[1])).toBeGreaterThan(95);
    expect(compared).toMatch(/^CHUNKS +ham-int8 +toy /m);
  }, 300_000);

  it('sees a picture and has no gate: the picture is used, its relevance null', async () => {
    const picture = join(models, 'red.jpg');
    await plain(RED, 200, 100).jpeg().toFile(picture);
    const { code, stdout } = await mner(['extract', '--bundle', 'toy', '--text', 'Kobe', '--image', picture], { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).image).toEqual({ status: 'used', relevance: null, cache: 'miss' });
  }, 120_000);
});

describe.skipIf(NO_SERVERS !== '')(`a canary of one’s own${NO_SERVERS}`, () => {
  it('reads its share of live tweets by the commands of the page', async () => {
    const live = LINES.filter((line) => !isAlone(line));
    expect(live).toHaveLength(4);
    const done = await runCommands(live, env);
    for (const { line, code, stderr } of done) expect([line, code, code === 0 ? '' : stderr]).toEqual([line, 0, '']);
    const { stdout } = await mner(['tail', '--from-beginning', '--max', '3', '--json'], { env });
    const outputs = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(outputs.map(({ tweet_id }) => tweet_id).sort()).toEqual(['1', '2', '3']);
    for (const { tweet_id, model } of outputs) expect(model.bundle).toBe(isCanary(tweet_id, 0.5) ? 'toy' : 'ham-int8');
    expect(new Set(outputs.map(({ model }) => model.bundle)).size).toBe(2);
  }, 300_000);
});
