import { expect, test } from 'vitest';
import { loadConfig } from '#mner/config/load.js';
import { redactConfig, redactSecret } from '#mner/config/redact.js';

test('passwords are hidden, also inside URLs and their queries', () => {
  const { config } = loadConfig({
    env: {
      MNER_REDIS_URL: 'rediss://user:hunter2@cache:6380/1?password=hunter3&family=6',
      MNER_KAFKA_SASL_MECHANISM: 'plain',
      MNER_KAFKA_SASL_USERNAME: 'u',
      MNER_KAFKA_SASL_PASSWORD: 'hunter4',
    },
  });
  const shown = redactConfig(config);
  expect(shown.redis_url).toBe('rediss://user:***@cache:6380/1?password=***&family=***');
  expect(shown.kafka_sasl_password).toBe('***');
  expect(shown.kafka_sasl_username).toBe('u');
  expect(JSON.stringify(shown)).not.toContain('hunter');
});

test('a secret that is not set stays visibly unset', () => {
  expect(redactConfig(loadConfig({ env: {} }).config).kafka_sasl_password).toBeNull();
});

test('a URL that cannot be read is hidden whole', () => {
  expect(redactSecret('redis://user:hunter2@ho st')).toBe('***');
});
