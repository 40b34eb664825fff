import { expect, it } from 'vitest';
import { memoryOrigin } from '#mner/image/fetch/memory.js';
import { originConformance } from '../origin-conformance.js';

originConformance('memory', async (options) => {
  const origin = memoryOrigin(options);
  return {
    origin,
    put(path, page) {
      const url = `http://pictures.example${path}`;
      origin.put(url, page);
      return url;
    },
    close: () => origin.stop(),
  };
});

it('tells what it was asked for', async () => {
  const origin = memoryOrigin();
  expect(await origin.fetch('http://pictures.example/none', new AbortController().signal)).toMatchObject({
    status: 'not_found',
  });
  expect(origin.requests).toEqual(['http://pictures.example/none']);
});
