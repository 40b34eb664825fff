import type { Command } from 'commander';
import { originOf } from '../adapters.js';
import { createDecoder, type Decoded } from '../image/decode.js';
import { formatOf } from '../image/decode-format.js';
import type { Fetched, Look, Origin } from '../image/port.js';
import type { Event } from '../telemetry/events.js';
import { createTelemetry } from '../telemetry/telemetry.js';
import { splitWords } from '../text/words.js';
import { openStations, type Stations } from '../worker.js';
import { DRAWN_SIDE, drawFindings } from './image/draw.js';
import { savedFormat, savePicture } from './image/save.js';
import { formatSeen, type Seen } from './image/seen.js';
import { pictureUrl } from './picture-url.js';
import { printLine, say } from './print.js';
import { settingsOf } from './settings.js';

/** `mner image`: what the pipeline sees in one picture, with its own stations, cache and limits. */
export async function image(source: string, command: Command): Promise<void> {
  const url = pictureUrl(source);
  const options = command.opts<{ text?: string; save?: string; json?: boolean }>();
  if (options.save !== undefined) savedFormat(options.save);
  const { config } = settingsOf(command);
  const telemetry = createTelemetry({ log: { level: 'warn' }, nodeMetrics: false });
  const steps: Record<string, number> = {};
  const emit = (event: Event) => {
    telemetry.emit(event);
    if (event.type === 'stage') steps[event.stage] = event.seconds * 1000;
  };
  const origin = recording(originOf(config, emit));
  const stations = await openStations(config, { ...telemetry, emit }, { origin, allowFiles: true, anyWords: true });
  const decoder = createDecoder({ size: DRAWN_SIDE, concurrency: 1, emit: telemetry.emit });
  try {
    const look = await stations.images.look({ url }, new AbortController().signal);
    const regions = options.text === undefined ? null : await regionsOf(options.text, look, stations, config.mentions);
    const milliseconds = { ...steps };
    // A picture from the cache was not fetched, and is only for the drawing.
    const needed = url.startsWith('file:') || (options.save !== undefined && look.status === 'used');
    const fetched = origin.last() ?? (needed ? await stations.images.bytes({ url }) : null);
    const bytes = fetched?.status === 'ok' ? fetched.bytes : null;
    // Once more only to draw it, or where the look remembered it and so did not tell its size. In its process, within its
    // limits, as for the look: what a stranger drew is never opened in this one.
    const again = look.status === 'used' && (options.save !== undefined || look.size === undefined);
    const decoded = again && bytes ? await decoder.decode(bytes) : null;
    const seen = describe(source, look, stations, {
      bytes,
      size: (look.status === 'used' && look.size) || (decoded?.status === 'ok' ? decoded : null),
      redirects: fetched?.redirects ?? [],
      milliseconds,
      relevance: regions?.relevance ?? null,
    });
    await printLine(options.json ? JSON.stringify(seen) : formatSeen(seen));
    if (options.save === undefined) return;
    if (look.status !== 'used') return say(`Nothing is saved: the picture is ${look.status}.`);
    if (decoded?.status !== 'ok') {
      const { status, detail } = (decoded ?? fetched) as Exclude<Decoded | Fetched, { status: 'ok' }>;
      return say(`Nothing is saved: the picture was remembered, and is ${status} now (${detail}).`);
    }
    await savePicture(options.save, await drawFindings(decoded, seen.objects, regions?.cells ?? null));
    say(`The picture with what was found is in ${options.save}.`);
  } finally {
    await Promise.all([stations.stop(), decoder.stop()]);
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

function describe(
  source: string,
  look: Look,
  { sight }: Stations,
  found: {
    readonly bytes: Buffer | null;
    readonly size: { readonly width: number; readonly height: number } | null;
  } & Pick<Seen, 'redirects' | 'milliseconds' | 'relevance'>,
): Seen {
  const { bytes, size, ...said } = found;
  const features = look.status === 'used' ? look.features : null;
  return {
    picture: source,
    status: look.status,
    detail: (look.status === 'used' ? null : look.detail) ?? null,
    cache: look.cache,
    bytes: bytes?.length ?? null,
    format: bytes && formatOf(bytes),
    width: size?.width ?? null,
    height: size?.height ?? null,
    tags: features?.tags.map(({ tag, score }) => ({ tag: sight.tagOf(tag), score })) ?? [],
    objects:
      features?.objects.map(({ class: index, score, box }) => ({ object: sight.objectOf(index), score, box })) ?? [],
    words: features?.words ?? null,
    ...said,
  };
}
