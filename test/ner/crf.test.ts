import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Chunk, type Crf, type CrfScores, createCrf } from '#mner/ner/crf.js';
import { chunksOf } from '#mner/ner/spans.js';

interface Fixture {
  labels: string[];
  tolerance: number;
  heads: Omit<CrfScores, 'labels'>[];
  cases: {
    head: number;
    emissions: number[][];
    path: number[];
    log_partition: number;
    marginals: number[][];
    spans: { first: number; last: number; type: string; probability: number }[];
  }[];
}

// Written by the training package: what its PyTorch CRF says.
const fixture: Fixture = JSON.parse(readFileSync('test/fixtures/text/crf.json', 'utf8'));

describe('the CRF and that of the training package', () => {
  const crfs = fixture.heads.map((head) => createCrf({ labels: fixture.labels, ...head }));

  it.each(fixture.cases.map((one, i) => ({ ...one, name: `case ${i}, ${one.emissions.length} words` })))(
    'agree on $name',
    ({ head, emissions, path, log_partition, marginals, spans }) => {
      const crf = crfs[head]!;
      const flat = Float32Array.from(emissions.flat());
      expect(Array.from(crf.viterbi(flat))).toEqual(path);
      expect(crf.logPartition(flat)).toBeCloseTo(log_partition, 3);
      near(crf.marginals(flat), marginals.flat(), 10 * fixture.tolerance);
      const chunks = spans.map(({ type, first, last }) => ({ type, from: first, to: last + 1 }));
      near(
        crf.probabilities(flat, chunks),
        spans.map(({ probability }) => probability),
        10 * fixture.tolerance,
      );
    },
  );
});

const LABELS = ['O', 'B-PER', 'I-PER', 'B-LOC', 'I-LOC'];
const score = fc.double({ min: -4, max: 4, noNaN: true }).map(Math.fround);
const scores = (count: number) => fc.array(score, { minLength: count, maxLength: count });
const chain = fc.record({
  transitions: fc.array(scores(LABELS.length), { minLength: LABELS.length, maxLength: LABELS.length }),
  start: scores(LABELS.length),
  end: scores(LABELS.length),
  rows: fc.array(scores(LABELS.length), { minLength: 1, maxLength: 5 }),
  temperature: fc.constantFrom(0.5, 1, 1.7),
  lenient: fc.boolean(),
});

describe('the CRF and every path counted one by one', () => {
  it('agree on the best path, the marginals and the chance of each chunk', () => {
    fc.assert(
      fc.property(chain, ({ rows, temperature, lenient, ...head }) => {
        const crf = createCrf({ labels: LABELS, ...head }, { temperature, lenient });
        const emissions = Float32Array.from(rows.flat());
        const paths = everyPath(rows.length, lenient).map((path) => ({ path, score: scoreOf(path, head, rows) }));
        const best = paths.reduce((a, b) => (b.score > a.score ? b : a));
        expect(scoreOf(Array.from(crf.viterbi(emissions)), head, rows)).toBeCloseTo(best.score, 4);

        const weights = paths.map((one) => Math.exp(one.score / temperature));
        const total = weights.reduce((sum, weight) => sum + weight, 0);
        expect(crf.logPartition(emissions)).toBeCloseTo(Math.log(total), 4);
        const marginals = new Float64Array(emissions.length);
        const chances = new Map<string, { chunk: Chunk; chance: number }>();
        paths.forEach(({ path }, i) => {
          const share = weights[i]! / total;
          path.forEach((label, word) => {
            marginals[word * LABELS.length + label]! += share;
          });
          for (const chunk of chunksOf(
            path.map((label) => LABELS[label]!),
            false,
          )) {
            const name = JSON.stringify(chunk);
            chances.set(name, { chunk, chance: (chances.get(name)?.chance ?? 0) + share });
          }
        });
        near(crf.marginals(emissions), marginals, 1e-6);
        const known = [...chances.values()];
        near(
          crf.probabilities(
            emissions,
            known.map(({ chunk }) => chunk),
          ),
          known.map(({ chance }) => chance),
          1e-6,
        );
      }),
      { numRuns: 60 },
    );
  });

  it('say the same whatever was read before: the workspace keeps nothing', () => {
    fc.assert(
      fc.property(fc.array(chain, { minLength: 2, maxLength: 4 }), ([first, ...others]) => {
        const { rows: _, temperature, lenient, ...head } = first!;
        const used = createCrf({ labels: LABELS, ...head }, { temperature, lenient });
        for (const { rows } of [first!, ...others]) {
          const emissions = Float32Array.from(rows.flat());
          const fresh = createCrf({ labels: LABELS, ...head }, { temperature, lenient });
          expect(readAll(used, emissions)).toEqual(readAll(fresh, emissions));
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('the CRF', () => {
  const flat = {
    labels: LABELS,
    transitions: LABELS.map(() => LABELS.map(() => 0)),
    start: [0, 0, 0, 0, 0],
    end: [0, 0, 0, 0, 0],
  };

  it('never lets an I-X follow anything but X, however much the emissions want it', () => {
    const wild = fc.array(fc.float({ min: -1000, max: 1000, noNaN: true }), { minLength: 5, maxLength: 60 });
    fc.assert(
      fc.property(wild, (values) => {
        const emissions = Float32Array.from(values.slice(0, values.length - (values.length % 5)));
        const path = Array.from(createCrf(flat).viterbi(emissions), (label) => LABELS[label]!);
        path.forEach((label, i) => {
          if (label.startsWith('I-')) expect(path[i - 1]?.slice(1)).toBe(label.slice(1));
        });
        for (const marginal of createCrf(flat).marginals(emissions)) expect(marginal).not.toBeNaN();
      }),
    );
  });

  it('lets it, when lenient', () => {
    const path = createCrf(flat, { lenient: true }).viterbi(Float32Array.of(0, 0, 9, 0, 0));
    expect(LABELS[path[0]!]).toBe('I-PER');
  });

  it('reads no words, one, and a thousand', () => {
    const crf = createCrf(flat);
    expect(crf.viterbi(new Float32Array(0))).toHaveLength(0);
    expect(crf.probabilities(new Float32Array(0), [])).toEqual([]);
    expect(crf.viterbi(new Float32Array(5))).toHaveLength(1);
    const long = new Float32Array(5 * 1000).fill(3);
    expect(crf.viterbi(long)).toHaveLength(1000);
    expect(Number.isFinite(crf.logPartition(long))).toBe(true);
    expect(crf.viterbi(new Float32Array(5))).toHaveLength(1);
  });

  it('keeps the path and softens the confidence at a higher temperature', () => {
    const emissions = Float32Array.of(0, 3, 0, 0, 0, 0, 0, 3, 0, 0, 3, 0, 0, 0, 0);
    const chunk = { type: 'PER', from: 0, to: 2 };
    const [cold, warm] = [1, 2].map((temperature) => createCrf(flat, { temperature }));
    expect(warm!.viterbi(emissions)).toEqual(cold!.viterbi(emissions));
    expect(warm!.probabilities(emissions, [chunk])[0]).toBeLessThan(cold!.probabilities(emissions, [chunk])[0]!);
  });

  it('gives no chance to a chunk that the labels cannot say', () => {
    const odd = [
      { type: 'ORG', from: 0, to: 1 },
      { type: 'PER', from: 0, to: 2 },
    ];
    expect(createCrf(flat).probabilities(new Float32Array(5), odd)).toEqual([0, 0]);
  });
});

function near(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) expect(Math.abs(got[i]! - expected[i]!)).toBeLessThanOrEqual(tolerance);
}

function readAll(crf: Crf, emissions: Float32Array): unknown {
  return [
    crf.viterbi(emissions),
    crf.marginals(emissions),
    crf.probabilities(emissions, [{ type: 'PER', from: 0, to: 1 }]),
  ];
}

function everyPath(words: number, lenient: boolean): number[][] {
  if (words === 0) return [[]];
  return everyPath(words - 1, lenient).flatMap((path) =>
    LABELS.flatMap((label, i) => {
      const before = path.length > 0 ? LABELS[path.at(-1)!]! : 'O';
      const fits = lenient || !label.startsWith('I-') || before.slice(1) === label.slice(1);
      return fits ? [[...path, i]] : [];
    }),
  );
}

function scoreOf(path: readonly number[], head: Omit<CrfScores, 'labels'>, rows: readonly number[][]): number {
  return path.reduce(
    (sum, label, word) =>
      sum + rows[word]![label]! + (word === 0 ? head.start[label]! : head.transitions[path[word - 1]!]![label]!),
    head.end[path.at(-1)!]!,
  );
}
