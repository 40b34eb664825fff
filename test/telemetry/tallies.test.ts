import { Histogram, Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { talliedCounter, talliedHistograms } from '#mner/telemetry/tallies.js';

const ROW = { name: 'mner_wait_seconds', type: 'histogram', help: 'A wait.', buckets: [0.1, 1, 10] } as const;
const VALUES = [0.05, 0.1, 0.5, 3, 10, 100];

it('a histogram reads as prom-client would have written it', async () => {
  const registry = new Registry();
  const theirs = new Histogram({ ...ROW, buckets: [...ROW.buckets], labelNames: ['stage'], registers: [registry] });
  const ours = talliedHistograms({ ...ROW, labels: { stage: [] } });
  const [odd, calm] = ['a"b\\c\nd', 'parse'].map((stage) => ours.series({ stage }));
  theirs.zero({ stage: 'a"b\\c\nd' });
  theirs.zero({ stage: 'parse' });
  for (const value of VALUES) {
    odd?.observe(value);
    theirs.observe({ stage: 'a"b\\c\nd' }, value);
  }
  calm?.observe(2);
  theirs.observe({ stage: 'parse' }, 2);
  expect(ours.render()).toBe((await registry.metrics()).trim());
});

it('a histogram without labels too, and it takes nothing that is no number', async () => {
  const registry = new Registry();
  const theirs = new Histogram({ ...ROW, buckets: [...ROW.buckets], registers: [registry] });
  const family = talliedHistograms(ROW);
  const ours = family.series();
  for (const value of VALUES) ours.observe(value);
  for (const value of VALUES) theirs.observe(value);
  expect(() => ours.observe(Number.NaN)).toThrow(TypeError);
  expect(family.render()).toBe((await registry.metrics()).trim());
});

it('a counter hands over what it has counted since it was last read, once', async () => {
  const registry = new Registry();
  const row = { name: 'mner_tweets_total', type: 'counter', help: 'Tweets.', labels: { outcome: [] } } as const;
  const out = talliedCounter(registry, row).series('output');
  expect(await registry.metrics()).toContain('mner_tweets_total{outcome="output"} 0');
  out.inc();
  out.inc(2);
  expect(await registry.metrics()).toContain('mner_tweets_total{outcome="output"} 3');
  expect(await registry.metrics()).toContain('mner_tweets_total{outcome="output"} 3');
});
