import type { Browser, Page } from 'playwright-core';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Served, serve } from '#mner/cli/serve.js';
import { loadConfig } from '#mner/config/load.js';
import type { EntityRecord } from '#mner/ner/record.js';
import { memoryBroker } from '#mner/stream/memory.js';
import { createTelemetry } from '#mner/telemetry/telemetry.js';
import { barriers, CHROMIUM, openBrowser, openPage, paleTexts, type Watched } from '../support/browser.js';

/** The tiny model finds nothing sensible in it, but something: two characters outside of the basic plane come before. */
const TEXT = '😹😹 Donald McDonald opens the Northern Light Film Fest in Oslo & <b>Anna</b> Berg, on HTML phones';

describe.skipIf(!CHROMIUM)(`the playground in a browser${CHROMIUM ? '' : ' (skipped: no Chromium)'}`, () => {
  let served: Served;
  let browser: Browser;
  let url: string;
  let picture: Buffer;
  const open: Watched[] = [];
  const telemetry = createTelemetry({ log: { level: 'error' }, nodeMetrics: false });

  beforeAll(async () => {
    const { config } = loadConfig({
      env: {},
      flags: {
        models_dir: 'test/fixtures/bundles',
        bundle: 'ham-tiny',
        redis_url: null,
        threads: 1,
        image_budget_ms: 60_000,
        http_port: 0,
        playground: true,
      },
    });
    const { input_topic, output_topic, dead_letter_topic } = config;
    const broker = memoryBroker();
    await broker.createTopics(
      [input_topic, output_topic, dead_letter_topic].map((topic) => ({ topic, partitions: 1 })),
    );
    picture = await sharp({ create: { width: 320, height: 200, channels: 3, background: '#7fb2e5' } })
      .jpeg()
      .toBuffer();
    [served, browser] = await Promise.all([serve(config, telemetry, { broker }), openBrowser()]);
    url = `http://127.0.0.1:${served.port}/`;
  });
  afterEach(async () => {
    for (const watched of open.splice(0)) await watched.close();
  });
  afterAll(async () => {
    await browser?.close();
    await served?.stop();
    telemetry.stop();
  });

  async function visit(options: Parameters<typeof openPage>[2] = {}): Promise<Watched> {
    const watched = await openPage(browser, url, options);
    open.push(watched);
    return watched;
  }

  it('marks the entities of a text with their types and confidences', async () => {
    const { page, problems } = await visit();
    await page.getByLabel('Tweet').fill(TEXT);
    const { entities } = await submitted(page);
    expect(entities.length).toBeGreaterThan(1);

    const marks = page.locator('#marked mark');
    const shown = entities.map(({ text, type, confidence }) => `${text}${type} ${Math.round(confidence * 100)} %`);
    expect(await marks.allTextContents()).toEqual(shown);
    for (const [i, { utf16, text }] of entities.entries()) {
      expect(TEXT.slice(utf16[0], utf16[1])).toBe(text);
      const row = page.getByRole('row').nth(i + 1);
      for (const part of [entities[i]?.type, text]) await row.getByText(part as string, { exact: true }).waitFor();
    }
    // The text stands there whole, its markup as text.
    await page.locator('#marked small').evaluateAll((labels) => {
      for (const label of labels) label.remove();
    });
    expect(await page.locator('#marked').textContent()).toBe(TEXT);
    expect(await fact(page, 'Picture')).toBe('none No picture: the text was read alone.');
    expect(await page.getByRole('status').textContent()).toMatch(/^\d+ entities in \d+ ms$/);
    expect(problems).toEqual([]);
  });

  it("shows a picture's status and relevance, and whether it was known", async () => {
    const { page, problems } = await visit();
    await page.getByLabel('Tweet').fill(TEXT);
    await page.getByLabel('From this device').setInputFiles(file('sky.jpg', picture));
    await page.getByAltText('The chosen picture').waitFor();
    const { image } = await submitted(page);
    expect(image).toMatchObject({ status: 'used', cache: 'miss' });
    expect(await fact(page, 'Picture')).toBe('used The picture was read with the text.');
    expect(await fact(page, 'Relevance')).toBe(`${Math.round((image.relevance as number) * 100)} %`);
    expect(await fact(page, 'Cache')).toBe('The picture was new.');

    await submitted(page);
    expect(await fact(page, 'Cache')).toBe('The picture was known from before.');
    await page.getByRole('button', { name: 'Remove the picture' }).click();
    expect((await submitted(page)).image.status).toBe('none');
    expect(problems).toEqual([]);
  });

  it.each([
    ['a page in place of a picture', Buffer.from('<!doctype html><title>no picture</title>')],
    ['a picture that was cut off', 'cut'],
    ['an empty file', Buffer.alloc(0)],
  ])('names the status of %s, and reads the text all the same', async (_name, bytes) => {
    const { page, problems } = await visit();
    await page.getByLabel('Tweet').fill(TEXT);
    const bad = typeof bytes === 'string' ? picture.subarray(0, 200) : bytes;
    await page.getByLabel('From this device').setInputFiles(file('bad.jpg', bad));
    const { image, entities } = await submitted(page);
    expect(await fact(page, 'Picture')).toBe('unreadable The picture cannot be read as an image.');
    expect(image).toMatchObject({ status: 'unreadable', relevance: null });
    expect(entities.length).toBeGreaterThan(1);
    await page.getByAltText('The chosen picture').waitFor({ state: 'hidden' });
    expect(problems).toEqual([]);
  });

  it('says why the address of a picture in this network is refused', async () => {
    const { page, problems } = await visit();
    await page.getByLabel('Tweet').fill(TEXT);
    await page.getByLabel('Or its address').fill('http://169.254.169.254/latest');
    await submitted(page);
    expect(await fact(page, 'Picture')).toMatch(/^refused /);
    expect(problems).toEqual([]);
  });

  it('shows one sentence when a text is over the limit, and takes the next one', async () => {
    const { page, problems } = await visit();
    await page.getByLabel('Tweet').fill('x'.repeat(25_001));
    await page.getByRole('button', { name: 'Find entities' }).click();
    await page.getByRole('alert').waitFor();
    const said = await page.getByRole('alert').textContent();
    expect(said).toBe('The text is longer than 25,000 characters. (text_too_long)');
    expect(await page.locator('#result').isVisible()).toBe(false);
    await page.getByLabel('Tweet').fill(TEXT);
    await submitted(page);
    await page.getByRole('alert').waitFor({ state: 'hidden' });
    // The browser itself notes a failed request; the page adds nothing.
    expect(problems).toEqual([expect.stringMatching(/^Failed to load resource: .* 413 /)]);
  });

  it('says so when the server does not answer', async () => {
    const { page } = await visit();
    await page.getByLabel('Tweet').fill(TEXT);
    await page.context().setOffline(true);
    await page.getByRole('button', { name: 'Find entities' }).click();
    await page.getByRole('alert').waitFor();
    expect(await page.getByRole('alert').textContent()).toBe('The server does not answer.');
  });

  it('works with the keyboard alone, which keeps its place', async () => {
    const { page, problems } = await visit();
    // Asked for well ahead: a browser that hears of it while the key is pressed opens its own dialog, and nothing is chosen for ever.
    const chooser = page.waitForEvent('filechooser');
    await page.keyboard.press('Tab');
    expect(await focused(page)).toBe('text');
    await page.keyboard.type('Anna met Ben in Oslo.');
    await tabTo(page, 'file');
    await page.keyboard.press('Space');
    await (await chooser).setFiles(file('sky.jpg', picture));
    await tabTo(page, 'submit');
    const record = await submitted(page, () => page.keyboard.press('Enter'));
    expect(record.image.status).toBe('used');
    expect(await focused(page)).toBe('submit');
    await tabTo(page, '', 'SUMMARY');
    await page.keyboard.press('Enter');
    await page.getByLabel('Output record').waitFor();
    expect(JSON.parse((await page.getByLabel('Output record').textContent()) ?? '')).toEqual(record);

    await page.getByRole('button', { name: 'trains' }).press('Enter');
    expect(await focused(page)).toBe('text');
    const example = await page.getByLabel('Tweet').inputValue();
    await submitted(page, () => page.keyboard.press('Control+Enter'));
    expect(await page.locator('#marked').textContent()).toContain(example.slice(0, 5));
    expect(problems).toEqual([]);
  });

  it.each([
    { colorScheme: 'light', width: 1000 },
    { colorScheme: 'dark', width: 1000 },
    { colorScheme: 'light', width: 380 },
    { colorScheme: 'dark', width: 380 },
  ] as const)('has no barriers: $colorScheme, $width pixels', async ({ colorScheme, width }) => {
    const { page, problems } = await visit({ colorScheme, viewport: { width, height: 800 } });
    expect(await page.title()).toBe('mner-stream playground');
    expect(await barriers(page)).toEqual([]);
    expect(await paleTexts(page)).toEqual([]);
    const paper = await page.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    expect(Number(/\d+/.exec(paper)?.[0]) < 128).toBe(colorScheme === 'dark');

    await page.getByLabel('Tweet').fill(`${TEXT} ${'long'.repeat(60)}`);
    await page.getByLabel('From this device').setInputFiles(file('sky.jpg', picture));
    await submitted(page);
    await page.getByText('Output record (JSON)').click();
    expect(await barriers(page)).toEqual([]);
    expect(await paleTexts(page)).toEqual([]);
    expect(problems).toEqual([]);

    await page.getByLabel('Tweet').fill('x'.repeat(25_001));
    await page.getByRole('button', { name: 'Find entities' }).click();
    await page.getByRole('alert').waitFor();
    expect(await barriers(page)).toEqual([]);
    expect(await paleTexts(page)).toEqual([]);
  });
});

/** Sends the form; gives the record that the server answered with, once the page shows it. */
async function submitted(
  page: Page,
  send: () => Promise<void> = () => page.getByRole('button', { name: 'Find entities' }).click(),
): Promise<EntityRecord> {
  const [response] = await Promise.all([page.waitForResponse('**/v1/extract'), send()]);
  const record = (await response.json()) as EntityRecord;
  // The time that it was processed at is in no other record.
  await page.locator('#result').filter({ hasText: record.processed_at }).waitFor();
  return record;
}

/** The value beside a name in the list of facts. */
async function fact(page: Page, name: string): Promise<string> {
  const value = page.locator('dt', { hasText: name }).locator('xpath=following-sibling::dd[1]');
  return ((await value.textContent()) ?? '').trim();
}

function file(name: string, buffer: Buffer): { name: string; mimeType: string; buffer: Buffer } {
  return { name, mimeType: 'image/jpeg', buffer };
}

function focused(page: Page): Promise<string> {
  return page.evaluate<string>('document.activeElement.id');
}

/** Presses Tab until the focus is on an element, by its id or by its tag, at most ten times. */
async function tabTo(page: Page, id: string, tag = ''): Promise<void> {
  for (let presses = 0; presses < 10; presses += 1) {
    await page.keyboard.press('Tab');
    const [at, kind] = await page.evaluate<[string, string]>(
      '[document.activeElement.id, document.activeElement.tagName]',
    );
    if (tag ? kind === tag : at === id) return;
  }
  throw new Error(`Tab does not lead to ${tag || id}.`);
}
