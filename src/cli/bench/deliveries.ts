import { alternate, type Side } from './alternate.js';
import { startBurstSide } from './burst.js';
import { findCeiling, TRIAL_SHARE } from './ceiling.js';
import type { Lab } from './lab.js';
import { TEXT_ONLY, textValues } from './values.js';

const SIDES = ['at least once', 'exactly once', 'ceiling'] as const;
type SideName = (typeof SIDES)[number];

/** Which sides a figure compares. */
const NEEDS: Readonly<Record<string, readonly SideName[]>> = {
  e2e_text_over_ceiling: ['at least once', 'ceiling'],
  e2e_eos_over_ceiling: ['exactly once', 'ceiling'],
  eos_over_alo: ['exactly once', 'at least once'],
};

/** Tweets per second of each side in each window; none of a side that no figure of this run asks for. */
export type DeliveryRates = Readonly<Record<SideName, readonly number[]>>;

/**
 * Texts through a real Kafka at least once, exactly once, and the ceiling with the same texts, window by window in turn. Figures
 * that compare two of the three share one measurement, if one run asks for several of them.
 */
export function deliveries(lab: Lab): Promise<DeliveryRates> {
  return lab.shared('deliveries', () => measure(lab));
}

async function measure(lab: Lab): Promise<DeliveryRates> {
  const wanted = new Set(lab.chosen.flatMap((name) => NEEDS[name] ?? []));
  const rates: Record<SideName, readonly number[]> = { 'at least once': [], 'exactly once': [], ceiling: [] };
  const started: (Side & { stop(): Promise<void> })[] = [];
  const worker = (name: SideName, delivery: string) =>
    startBurstSide(lab, { name, values: textValues(lab), overrides: { ...TEXT_ONLY, delivery } });
  try {
    // The ceiling's trials come first, so that they too have the machine to themselves.
    if (wanted.has('ceiling')) {
      const { config, models, seconds, set } = lab;
      const rows = set.flatMap((tweet) => tweet.rows);
      started.push(await findCeiling({ config, bundle: models.ner, rows, trialSeconds: seconds * TRIAL_SHARE }));
    }
    if (wanted.has('at least once')) started.push(await worker('at least once', 'at_least_once'));
    if (wanted.has('exactly once')) started.push(await worker('exactly once', 'exactly_once'));
    const measured = await alternate(started, { ...lab, tweets: lab.set.length });
    started.forEach(({ name }, i) => {
      rates[name as SideName] = measured[i] ?? [];
    });
    return rates;
  } finally {
    for (const side of started) await side.stop();
  }
}
