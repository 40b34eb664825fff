import { expect, it } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { encoderOf, loadModels } from '#mner/models.js';
import { TINY } from './support/servers.js';

it('a tokenizer was read three times before a bundle worked: whoever asks for its encoder gets the same', async () => {
  const { config } = loadConfig({ env: TINY });
  const { ner } = await loadModels(config);
  expect(encoderOf({ ...ner })).toBe(encoderOf(ner));
  // The same bundle as it lies on the disk by now may hold other files.
  expect(encoderOf((await loadModels(config)).ner)).not.toBe(encoderOf(ner));
});
