import type { Look } from '../image/port.js';
import { readBundleLines } from '../inference/bundle.js';
import { regionParts } from '../inference/manifest.js';
import type { Models } from '../models.js';
import { contextText } from '../text/context.js';
import type { Reading } from '../text/reader.js';

/** Why a model says what it says of a tweet with a picture, as `mner extract --explain` prints it. */
export interface Explanation {
  /** What it read beside the tweet; null where it read nothing. */
  readonly context: string | null;
  /** What the gate makes of the picture's parts; null where the family weighs none, without a picture, and for a text of several windows. */
  readonly regions: {
    /** The grid's cells, row by row. */
    readonly cells: readonly (readonly number[])[];
    readonly objects: readonly {
      readonly object: string;
      readonly score: number;
      /** x0, y0, x1, y1 as shares of the picture's width and height. */
      readonly box: readonly [number, number, number, number];
      readonly weight: number;
    }[];
    /** The picture as a whole. */
    readonly scene: number;
  } | null;
}

/** What a model makes of a picture in words: text to read beside the tweet, and names for what it weighed. */
export interface Sight {
  /** Names by the vision bundle; a number that it does not name stands for itself. */
  tagOf(index: number): string;
  objectOf(index: number): string;
  /** @param altText the picture's description by its author */
  contextOf(look: Look, altText: string | undefined): string;
  explain(look: Look, context: string, regions: Reading['regions']): Explanation;
}

/** @throws MnerError `bad_bundle` when the vision bundle lacks the names */
export function createSight({ ner: { manifest }, vision }: Models): Sight {
  const objects = vision ? readBundleLines(vision, 'objects.txt') : [];
  const tags = vision ? readBundleLines(vision, 'tags.txt') : [];
  const objectOf = (index: number) => objects[index] ?? String(index);
  const tagOf = (index: number) => tags[index] ?? String(index);
  const parts = regionParts(manifest);
  return {
    tagOf,
    objectOf,
    contextOf(look, altText) {
      if (!manifest.context) return '';
      const features = look.status === 'used' ? look.features : null;
      return contextText(manifest.context, {
        altText,
        objects: features?.objects.map(({ class: index }) => objectOf(index)),
        tags: features?.tags.map(({ tag, score }) => ({ label: tagOf(tag), score })),
        words: features?.words,
      });
    },
    explain(look, context, weights) {
      const seen = look.status === 'used' ? look.features.objects : [];
      const side = Math.max(1, Math.round(Math.sqrt(parts.cells)));
      const weightOf = (i: number) => round(weights?.[i] ?? 0);
      const regions = {
        cells: Array.from({ length: parts.cells / side }, (_, y) =>
          Array.from({ length: side }, (_, x) => weightOf(y * side + x)),
        ),
        objects: seen.slice(0, parts.objects).map(({ class: index, score, box }, i) => ({
          object: objectOf(index),
          score: round(score),
          box: box.map(round) as unknown as [number, number, number, number],
          weight: weightOf(parts.cells + i),
        })),
        scene: weightOf(parts.cells + parts.objects),
      };
      return { context: context === '' ? null : context, regions: weights === null ? null : regions };
    },
  };
}

function round(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}
