import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import sharp from 'sharp';
import { originOf } from '../adapters.js';
import type { Fetched, Look, Origin } from '../image/port.js';
import { readBundleLines } from '../inference/bundle.js';
import type { Event } from '../telemetry/events.js';
import { createTelemetry } from '../telemetry/telemetry.js';
import { splitWords } from '../text/words.js';
import { openStations, type Stations } from '../worker.js';
import { drawFindings } from './image/draw.js';
import { formatSeen, type Seen } from './image/seen.js';
import { pictureUrl } from './picture-url.js';
import { printLine, say } from './print.js';
import { settingsOf } from './settings.js';

/** `mner image`: what the pipeline sees in one picture, with its own stations, cache and limits. */
export async function image(source: string, command: Command): Promise<void> {
  const url = pictureUrl(source);
  const options = command.opts<{ text?: string; save?: string; json?: boolean }>();
  const { config } = settingsOf(command);
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  const steps: Record<string, number> = {};
  const emit = (event: Event) => {
    telemetry.emit(event);
    if (event.type === 'stage') steps[event.stage] = event.seconds * 1000;
  };
  const origin = recording(originOf(config, emit));
  const stations = await openStations(config, { ...telemetry, emit }, { origin, allowFiles: true, anyWords: true });
  try {
    const look = await stations.images.look({ url }, new AbortController().signal);
    const regions = options.text === undefined ? null : await regionsOf(options.text, look, stations, config.mentions);
    const bytes = await bytesOf(url, origin, options.save !== undefined);
    const seen = await describe(source, look, stations, {
      ...origin.last(),
      bytes,
      steps,
      relevance: regions?.relevance,
    });
    await printLine(options.json ? JSON.stringify(seen) : formatSeen(seen));
    if (options.save === undefined) return;
    if (bytes === null || look.status !== 'used') return say(`Nothing is saved: the picture is ${look.status}.`);
    await sharp(await drawFindings(bytes, seen.objects, regions?.cells ?? null)).toFile(options.save);
    say(`The picture with what was found is in ${options.save}.`);
  } finally {
    await stations.stop();
    telemetry.stop();
  }
}

/** An origin that keeps what it fetched last. */
function recording(origin: Origin): Origin & { last(): Fetched | null } {
  let last: Fetched | null = null;
  return {
    async fetch(url, signal) {
      last = await origin.fetch(url, signal);
      return last;
    },
    stop: origin.stop,
    last: () => last,
  };
}

/** The gate's opinion of the pair; null without a picture, or where the family has no gate. */
async function regionsOf(
  text: string,
  look: Look,
  { reader, sight }: Stations,
  mentions: 'ignore' | 'entity',
): Promise<{ relevance: number | null; cells: readonly (readonly number[])[] | null } | null> {
  if (look.status !== 'used') return null;
  const words = splitWords(text, mentions).map((word) => word.text);
  const context = sight.contextOf(look, undefined);
  const { relevance, regions } = await reader.read(words, look.features, { context });
  return { relevance, cells: sight.explain(look, context, regions).regions?.cells ?? null };
}

/** The picture's bytes; a picture from the cache was not fetched, and is only if `needed`. */
async function bytesOf(
  url: string,
  origin: Origin & { last(): Fetched | null },
  needed: boolean,
): Promise<Buffer | null> {
  if (url.startsWith('file:')) return readFile(fileURLToPath(url));
  const fetched = origin.last() ?? (needed ? await origin.fetch(url, new AbortController().signal) : null);
  return fetched?.status === 'ok' ? fetched.bytes : null;
}

async function describe(
  source: string,
  look: Look,
  { models }: Stations,
  found: {
    readonly bytes: Buffer | null;
    readonly steps: Readonly<Record<string, number>>;
    readonly detail?: string;
    readonly redirects?: readonly string[];
    readonly relevance?: number | null | undefined;
  },
): Promise<Seen> {
  const header =
    found.bytes &&
    (await sharp(found.bytes)
      .metadata()
      .catch(() => null));
  const [tags, objects] = models.vision
    ? await Promise.all([readBundleLines(models.vision, 'tags.txt'), readBundleLines(models.vision, 'objects.txt')])
    : [[], []];
  const features = look.status === 'used' ? look.features : null;
  return {
    picture: source,
    status: look.status,
    detail: found.detail ?? null,
    redirects: found.redirects ?? [],
    cache: look.cache,
    bytes: found.bytes?.length ?? null,
    format: header?.format ?? null,
    width: header?.width ?? null,
    height: header?.height ?? null,
    tags: features?.tags.map(({ tag, score }) => ({ tag: tags[tag] ?? String(tag), score })) ?? [],
    objects:
      features?.objects.map(({ class: index, score, box }) => ({
        object: objects[index] ?? String(index),
        score,
        box,
      })) ?? [],
    words: features?.words ?? null,
    relevance: found.relevance ?? null,
    milliseconds: found.steps,
  };
}
