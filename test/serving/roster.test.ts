import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createRoster, isCanary } from '#mner/serving/roster.js';

describe('the roster of models', () => {
  it('gives every tweet the one model that there is', () => {
    const roster = createRoster('a', null, 1);
    expect(roster.lease('1').model).toBe('a');
    expect(roster).toMatchObject({ stable: 'a', canary: null });
  });

  it('lets a tweet that began with a model end with it, and gives the model back when the last one has', async () => {
    const roster = createRoster('old', null, 0);
    const [first, second] = [roster.lease('1'), roster.lease('2')];
    let given: string | null = null;
    const replaced = roster.replace('stable', 'new').then((model) => {
      given = model;
    });
    expect(roster.lease('3').model).toBe('new');
    expect(first.model).toBe('old');
    first.end();
    await Promise.resolve();
    expect(given).toBeNull();
    second.end();
    await replaced;
    expect(given).toBe('old');
  });

  it('gives a model back at once when no tweet is with it', async () => {
    const roster = createRoster('old', null, 0);
    roster.lease('1').end();
    expect(await roster.replace('stable', 'new')).toBe('old');
  });

  it('sends the canary its share, and all others to the stable model', () => {
    const roster = createRoster('stable', 'canary', 0.25);
    const leases = Array.from({ length: 4000 }, (_, i) => roster.lease(String(10n ** 18n + BigInt(i))).model);
    const share = leases.filter((model) => model === 'canary').length / leases.length;
    expect(share).toBeGreaterThan(0.22);
    expect(share).toBeLessThan(0.28);
  });
});

describe('the share of a canary', () => {
  it('is nobody at 0 and everybody at 1', () =>
    fc.assert(
      fc.property(fc.string(), (id) => {
        expect(isCanary(id, 0)).toBe(false);
        expect(isCanary(id, 1)).toBe(true);
      }),
    ));

  it('keeps a tweet when it grows', () =>
    fc.assert(
      fc.property(
        fc.string(),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (id, a, b) => {
          const [small, large] = [Math.min(a, b), Math.max(a, b)];
          expect(isCanary(id, small) && !isCanary(id, large)).toBe(false);
        },
      ),
    ));

  // What docs/bundles.md says; other workers, of other versions too, must choose the same tweets.
  it('is the first 32 bits of the SHA-256 of the id', () => {
    // sha256("1") = 6b86b273…
    const at = 0x6b86b273 / 2 ** 32;
    expect(isCanary('1', at)).toBe(false);
    expect(isCanary('1', at + 1e-9)).toBe(true);
  });
});
