import type { EntityRecord } from '../ner/record.js';
import type { Explained } from '../pipeline.js';
import type { Explanation } from '../serving/sight.js';
import { colour } from './print.js';

const COLOURS: Readonly<Record<string, number>> = { PER: 35, LOC: 32, ORG: 34, MISC: 33 };

/** A tweet with its entities, for people: the text with the entities marked, then what was found. */
export function formatResult(text: string, record: Explained): string {
  let marked = '';
  let end = 0;
  for (const entity of record.entities) {
    const [from, to] = entity.utf16;
    marked += `${text.slice(end, from)}${colour(COLOURS[entity.type] ?? 36, `[${text.slice(from, to)}]`)}`;
    end = to;
  }
  marked += text.slice(end);
  const why = record.explain ? formatExplanation(record.explain) : [];
  return [marked.replace(/\s+/g, ' '), formatFindings(record), ...why].join('\n    ');
}

/** What was read beside the tweet, and the regions' weights: the grid as it lies on the picture. */
function formatExplanation({ context, regions }: Explanation): string[] {
  const lines = context === null ? [] : [`beside the tweet: ${context}`];
  if (regions === null) return [...lines, 'no weights of regions'];
  const share = (weight: number) => weight.toFixed(2);
  return [
    ...lines,
    ...regions.cells.map((row, i) => `${i === 0 ? 'cells' : '     '}  ${row.map(share).join(' ')}`),
    ...regions.objects.map(({ object, weight }) => `${object}  ${share(weight)}`),
    `scene  ${share(regions.scene)}`,
  ];
}

/** A record by itself, for people: a record does not repeat the tweet's text. */
export function formatRecord(record: EntityRecord): string {
  return `${record.tweet_id}  ${formatFindings(record)}`;
}

function formatFindings({ entities, image: { status, relevance, cache } }: EntityRecord): string {
  const found = entities.map(
    ({ type, text, confidence }) => `${colour(COLOURS[type] ?? 36, type)} ${text} ${confidence.toFixed(2)}`,
  );
  const picture = [
    status === 'none' ? 'no picture' : `picture ${status}`,
    ...(relevance === null ? [] : [`relevance ${relevance.toFixed(2)}`]),
    ...(cache === null ? [] : [`cache ${cache}`]),
  ];
  return `${found.join(' · ') || 'no entities'}  (${picture.join(', ')})`;
}
