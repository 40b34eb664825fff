import { CONTEXT_SOURCES, type ContextSource, type NerManifest } from '../inference/manifest.js';

/** What a bundle reads beside the tweet, as its manifest says. */
export type ContextSettings = NonNullable<NerManifest['context']>;

/** What the sources hold; what is not there is left out. Labels and words, best first. */
export interface ContextParts {
  readonly altText?: string | undefined;
  readonly objects?: readonly string[] | undefined;
  readonly tags?: readonly { readonly label: string; readonly score: number }[] | undefined;
  readonly words?: string | undefined;
}

/** X's own limit, in code points. */
const ALT_TEXT_CHARS = 1000;
const JOINT = ' . ';
const WHITE = /[\s\p{Cc}]+/gu;

/**
 * The text that a family like ITA reads after the tweet's own words (docs/bundles.md, "Context"). The order of the sources is always
 * the same, whatever the manifest's is. The training package has the same rule in `mner/text/context.py`.
 *
 * @returns empty where there is nothing to read
 */
export function contextText(settings: ContextSettings, parts: ContextParts): string {
  const { sources, max_tags, min_tag_score } = settings;
  const named = (parts.tags ?? []).filter(({ score }) => score >= min_tag_score).slice(0, max_tags);
  const texts: Readonly<Record<ContextSource, string>> = {
    alt_text: tidy(firstOf(parts.altText ?? '', ALT_TEXT_CHARS)),
    objects: [...new Set((parts.objects ?? []).map(tidy))].join(', '),
    tags: named.map(({ label }) => tidy(label)).join(', '),
    words: tidy(parts.words ?? ''),
  };
  return CONTEXT_SOURCES.filter((source) => sources.includes(source) && texts[source] !== '')
    .map((source) => texts[source])
    .join(JOINT);
}

/** The first code points of a text. */
function firstOf(text: string, count: number): string {
  if (text.length <= count) return text;
  // Twice as many units hold them for certain: a description may be as long as a record.
  return Array.from(text.slice(0, 2 * count))
    .slice(0, count)
    .join('');
}

function tidy(text: string): string {
  return text.replace(WHITE, ' ').replace(/^ | $/g, '');
}
