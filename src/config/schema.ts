import { z } from 'zod';
import { cacheFields } from './schema/cache.js';
import { deliveryFields } from './schema/delivery.js';
import { httpFields } from './schema/http.js';
import { kafkaFields } from './schema/kafka.js';
import { logsFields } from './schema/logs.js';
import { modelFields } from './schema/model.js';
import { picturesFields } from './schema/pictures.js';
import { topicsFields } from './schema/topics.js';

/** The one schema of the configuration: types, environment names, flags, help, JSON Schema and docs/configuration.md come from it. */
export const configSchema = z.strictObject({
  ...kafkaFields,
  ...topicsFields,
  ...deliveryFields,
  ...picturesFields,
  ...cacheFields,
  ...modelFields,
  ...httpFields,
  ...logsFields,
});

/** The effective configuration: every key has a value. */
export type Config = z.output<typeof configSchema>;
export type ConfigKey = keyof Config;
