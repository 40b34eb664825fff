import type { Clock } from '../clock.js';

/** Rendering takes this part of the time at most; the rest is the tweets'. */
const SHARE = 0.1;

/**
 * The text for those who scrape. Scrapes at the same time share one rendering, and a text that took 2 ms to render is given
 * to all who come within the next 20 ms: a thousand scrapes a second cost the event loop no more than a tenth, and a scrape that
 * comes alone always sees the present.
 */
export function createScrapes(render: () => Promise<string>, clock: Clock): () => Promise<string> {
  let text: Promise<string> | undefined;
  let freshUntil = Number.POSITIVE_INFINITY;
  return () => {
    if (text && clock.now() < freshUntil) return text;
    const began = clock.now();
    // As long as it is being rendered.
    freshUntil = Number.POSITIVE_INFINITY;
    const rendering = render();
    text = rendering;
    rendering.then(
      () => {
        const ended = clock.now();
        freshUntil = ended + (ended - began) * (1 / SHARE - 1);
      },
      () => {
        text = undefined;
      },
    );
    return rendering;
  };
}
