import type { Calibration } from '../../ner/calibration.js';
import { TYPES } from '../../ner/score.js';
import type { Slice } from '../../ner/slices.js';
import { formatTable } from '../print.js';
import type { Against, Evaluation } from './evaluation.js';

/** The evaluation for people: tables, with an empty line between them. */
export function formatEvaluation(evaluation: Evaluation, bundle: string): string {
  const parts = [formatScores(evaluation), formatCalibration(evaluation.calibration), formatSlices(evaluation.slices)];
  if (evaluation.against) parts.push(formatAgainst(evaluation, bundle, evaluation.against));
  return parts.join('\n\n');
}

function formatScores({ lenient, strict, intervals }: Evaluation): string {
  const rows = [...TYPES, 'all'].flatMap((type) =>
    (['lenient', 'strict'] as const).map((way) => {
      const scores = way === 'lenient' ? lenient : strict;
      const interval = type === 'all' ? intervals[way].micro : intervals[way].by_type[type];
      return { type, way, score: type === 'all' ? scores.micro : scores.by_type[type], interval };
    }),
  );
  return formatTable(rows, [
    { title: 'TYPE', of: ({ type }) => type },
    { title: 'CHUNKS', of: ({ way }) => way },
    { title: 'PRECISION', of: ({ score }) => percent(score?.precision), align: 'right' },
    { title: 'RECALL', of: ({ score }) => percent(score?.recall), align: 'right' },
    { title: 'F1', of: ({ score }) => percent(score?.f1), align: 'right' },
    { title: '95 %', of: ({ interval }) => range(interval), align: 'right' },
    { title: 'SUPPORT', of: ({ score }) => score?.support ?? 0, align: 'right' },
  ]);
}

function formatCalibration({ bins, ece, entities }: Calibration): string {
  const table = formatTable(bins, [
    { title: 'CONFIDENCE', of: ({ from, to }) => `${from.toFixed(1)} to ${to.toFixed(1)}` },
    { title: 'ENTITIES', of: (bin) => bin.entities, align: 'right' },
    { title: 'MEAN', of: (bin) => share(bin.confidence), align: 'right' },
    { title: 'RIGHT', of: (bin) => share(bin.precision), align: 'right' },
  ]);
  return `${table}\nexpected calibration error ${ece.toFixed(4)} over ${entities} entities`;
}

function formatSlices(slices: readonly Slice[]): string {
  return formatTable(slices, [
    { title: 'SLICE (LENIENT)', of: ({ slice }) => slice },
    { title: 'TWEETS', of: ({ tweets }) => tweets, align: 'right' },
    { title: 'PRECISION', of: ({ score }) => percent(score.precision), align: 'right' },
    { title: 'RECALL', of: ({ score }) => percent(score.recall), align: 'right' },
    { title: 'F1', of: ({ score }) => percent(score.f1), align: 'right' },
    { title: 'SUPPORT', of: ({ score }) => score.support, align: 'right' },
  ]);
}

function formatAgainst({ lenient, strict }: Evaluation, bundle: string, against: Against): string {
  const rows = (['lenient', 'strict'] as const).map((way) => ({
    way,
    ours: (way === 'lenient' ? lenient : strict).micro.f1,
    theirs: against[way].micro.f1,
    ...against.comparison[way],
  }));
  return formatTable(rows, [
    { title: 'CHUNKS', of: ({ way }) => way },
    { title: bundle, of: ({ ours }) => percent(ours), align: 'right' },
    { title: against.bundle, of: ({ theirs }) => percent(theirs), align: 'right' },
    { title: 'DIFFERENCE', of: ({ difference }) => signed(difference), align: 'right' },
    { title: '95 %', of: ({ interval: [low, high] }) => `${signed(low)} to ${signed(high)}`, align: 'right' },
    { title: 'P', of: ({ p }) => p.toFixed(4), align: 'right' },
  ]);
}

function percent(value: number | undefined): string {
  return value?.toFixed(2) ?? '';
}

function share(value: number | null): string {
  return value?.toFixed(3) ?? '';
}

function range(interval: readonly [number, number] | undefined): string {
  return interval ? `${interval[0].toFixed(1)} to ${interval[1].toFixed(1)}` : '';
}

function signed(value: number): string {
  return `${value > 0 ? '+' : ''}${value.toFixed(2)}`;
}
