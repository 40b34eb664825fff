import { type Clock, systemClock } from '../clock.js';
import { MnerError } from '../errors.js';
import { runBisected } from '../inference/bisect.js';
import type { InferenceHost, Tensors } from '../inference/port.js';
import { type Emit, silent } from '../telemetry/events.js';
import { allFinite, floatToHalf, halfToFloat } from './half.js';
import { type Box, bestObjects } from './objects.js';
import type { Features } from './port.js';
import type { VisionShape } from './vision-shape.js';

export interface FeatureExtractorParts {
  /** Started, with the vision bundle loaded under `model`. */
  readonly host: InferenceHost;
  readonly bundle: VisionShape;
  /** The vision bundle's name in the host. @default 'vision' */
  readonly model?: string;
  /** Pictures in one call; more than 8 gain nothing on a CPU. @default 8 */
  readonly maxBatch?: number;
  /** @default systemClock */
  readonly clock?: Clock;
  readonly emit?: Emit;
}

/** Turns pixels into features, several pictures at a time. */
export interface FeatureExtractor {
  /**
   * @param pixels RGB, size x size x 3 bytes
   * @returns null when the model makes nothing of this picture
   * @throws MnerError of the inference host, when it is the host that fails
   */
  extract(pixels: Uint8Array): Promise<Features | null>;
}

interface Waiting {
  readonly pixels: Uint8Array;
  readonly resolve: (features: Features | null) => void;
  readonly reject: (error: unknown) => void;
}

const BEST_TAGS = 10;

export function createFeatureExtractor(parts: FeatureExtractorParts): FeatureExtractor {
  const { host, bundle } = parts;
  const clock = parts.clock ?? systemClock;
  const emit = parts.emit ?? silent;
  const model = parts.model ?? 'vision';
  const maxBatch = parts.maxBatch ?? 8;
  const pixelBytes = bundle.size * bundle.size * 3;
  let waiting: Waiting[] = [];
  const atOnce = host.processes ?? 1;
  let running = 0;

  /** Runs what waits, batch after batch: while one runs, the next one fills, so that nobody has to wait for company. */
  async function drain(): Promise<void> {
    running++;
    while (waiting.length > 0) {
      const batch = waiting.slice(0, maxBatch);
      waiting = waiting.slice(maxBatch);
      await settle(batch);
    }
    running--;
  }

  async function settle(batch: readonly Waiting[]): Promise<void> {
    const outcomes = await runBisected(batch, run, emit);
    batch.forEach(({ resolve, reject }, row) => {
      const outcome = outcomes[row] ?? null;
      if (!(outcome instanceof MnerError)) resolve(outcome);
      else if (outcome.code === 'inference_poison') resolve(null);
      else reject(outcome);
    });
  }

  async function run(batch: readonly Waiting[]): Promise<(Features | null)[]> {
    const start = clock.now();
    const data = together(batch);
    const dims = [batch.length, bundle.size, bundle.size, 3];
    const outputs = await host.run(model, { pixels: { type: 'uint8', data, dims } });
    emit({ type: 'stage', stage: 'image_features', seconds: (clock.now() - start) / 1000 });
    return batch.map((_, row) => featuresOf(outputs, row, bundle));
  }

  function together(batch: readonly Waiting[]): Uint8Array {
    const [only] = batch;
    if (only && batch.length === 1) return only.pixels;
    const data = new Uint8Array(batch.length * pixelBytes);
    batch.forEach(({ pixels }, row) => {
      data.set(pixels, row * pixelBytes);
    });
    return data;
  }

  return {
    extract(pixels) {
      if (pixels.length !== pixelBytes) throw new RangeError(`expected ${pixelBytes} bytes of pixels`);
      return new Promise((resolve, reject) => {
        waiting.push({ pixels, resolve, reject });
        if (running < atOnce) void drain();
      });
    },
  };
}

/** One picture of a batch; null when its numbers are none. */
function featuresOf(outputs: Tensors, row: number, bundle: VisionShape): Features | null {
  const grid = halves(outputs, 'grid', row, bundle.cells * bundle.cellWidth);
  const embedding = halves(outputs, 'embedding', row, bundle.embeddingWidth);
  const tags = halves(outputs, 'tags', row);
  const boxes = floats(outputs, 'boxes', row);
  const scores = floats(outputs, 'object_scores', row);
  if (![grid, embedding, tags, boxes, scores].every(allFinite)) return null;
  return {
    // Copies of what is kept: the message that it came in is four times as large.
    grid: grid.slice(),
    embedding: embedding.slice(),
    tags: bestTags(tags),
    // As float16 from the start: what comes out of the cache is then what went into the model the first time.
    objects: bestObjects(boxes, scores).map(({ class: kind, score, box }) => ({
      class: kind,
      score: rounded(score),
      box: box.map(rounded) as unknown as Box,
    })),
  };
}

/** The best, best first; of equal ones the first comes first. A thousand are read for each picture, so nothing is sorted. */
function bestTags(probabilities: Uint16Array): { tag: number; score: number }[] {
  const best: number[] = [];
  // Float16 bits of numbers that are not negative are in the order of the numbers.
  const of = (tag: number) => probabilities[tag] as number;
  for (let tag = 0; tag < probabilities.length; tag++) {
    if (best.length === BEST_TAGS && of(tag) <= of(best[BEST_TAGS - 1] as number)) continue;
    let place = best.length;
    while (place > 0 && of(best[place - 1] as number) < of(tag)) place--;
    best.splice(place, 0, tag);
    if (best.length > BEST_TAGS) best.pop();
  }
  return best.map((tag) => ({ tag, score: halfToFloat(of(tag)) }));
}

function rounded(value: number): number {
  return halfToFloat(floatToHalf(value));
}

function halves(outputs: Tensors, name: string, row: number, width?: number): Uint16Array {
  const tensor = outputs[name];
  if (tensor?.type !== 'float16') throw new TypeError(`the vision bundle has no float16 output ${name}`);
  return tensor.data.subarray(...rowOf(tensor.dims, row, name, width));
}

function floats(outputs: Tensors, name: string, row: number): Float32Array {
  const tensor = outputs[name];
  if (tensor?.type !== 'float32') throw new TypeError(`the vision bundle has no float32 output ${name}`);
  return tensor.data.subarray(...rowOf(tensor.dims, row, name));
}

function rowOf(dims: readonly number[], row: number, name: string, expected?: number): [number, number] {
  const width = dims.slice(1).reduce((product, size) => product * size, 1);
  if (expected !== undefined && width !== expected)
    throw new TypeError(`the output ${name} has ${width} numbers a picture`);
  return [row * width, (row + 1) * width];
}
