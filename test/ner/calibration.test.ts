import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { calibrate } from '#mner/ner/calibration.js';

describe('the calibration', () => {
  it('has no error where as many are right as the confidence says', () => {
    const verdicts = Array.from({ length: 100 }, (_, i) => ({ confidence: 0.75, right: i % 4 > 0 }));
    const { ece, bins, entities } = calibrate(verdicts);
    expect([ece, entities]).toEqual([0, 100]);
    expect(bins[7]).toEqual({ from: 0.7, to: 0.8, entities: 100, confidence: 0.75, precision: 0.75 });
  });

  it('weighs the gap of each bin by its entities', () => {
    const sure = Array.from({ length: 30 }, () => ({ confidence: 1, right: true }));
    const bold = Array.from({ length: 10 }, (_, i) => ({ confidence: 0.9, right: i < 5 }));
    // 30 without a gap and 10 with one of 0.4.
    expect(calibrate([...sure, ...bold]).ece).toBe(0.1);
  });

  it('puts both ends of the scale into a bin, and an edge into the lower one', () => {
    const { bins } = calibrate([0, 0.1, 0.10001, 1].map((confidence) => ({ confidence, right: true })));
    expect(bins.map(({ entities }) => entities)).toEqual([2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    expect(bins[2]).toMatchObject({ confidence: null, precision: null });
  });

  it('says 0 of nothing', () => {
    expect(calibrate([])).toMatchObject({ entities: 0, ece: 0 });
  });

  it('is a share, and no more than the largest gap, whatever comes', () => {
    const verdict = fc.record({ confidence: fc.double({ min: 0, max: 1, noNaN: true }), right: fc.boolean() });
    fc.assert(
      fc.property(fc.array(verdict, { minLength: 1 }), (verdicts) => {
        const { ece, bins, entities } = calibrate(verdicts);
        expect(bins.reduce((sum, bin) => sum + bin.entities, 0)).toBe(entities);
        const gaps = bins.map(({ confidence, precision }) => Math.abs((confidence ?? 0) - (precision ?? 0)));
        expect(ece).toBeLessThanOrEqual(Math.max(...gaps) + 1e-3);
        for (const { from, to, confidence } of bins)
          if (confidence !== null) expect(confidence >= from - 1e-4 && confidence <= to + 1e-4).toBe(true);
      }),
    );
  });
});
