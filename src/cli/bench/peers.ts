import { alternate } from './alternate.js';
import { type BurstSide, startBurstSide } from './burst.js';
import type { Skipped } from './figure.js';
import { brief, type Lab } from './lab.js';
import { pythonPeer } from './python-peer.js';
import { TEXT_ONLY, textValues } from './values.js';

/** Tweets per second of each side in each window. */
export interface PeerRates {
  readonly ours: readonly number[];
  /** Empty where no figure of this run asks for it. */
  readonly naive: readonly number[];
  readonly python: readonly number[] | Skipped;
}

/** A worker and what one would write in its place, window by window in turn, between topics of the same Kafka with the same texts. */
export function peers(lab: Lab): Promise<PeerRates> {
  return lab.shared('peers', () => measure(brief(lab)));
}

async function measure(lab: Lab): Promise<PeerRates> {
  const values = textValues(lab);
  const started: BurstSide[] = [];
  try {
    started.push(await startBurstSide(lab, { name: 'mner run', values, overrides: TEXT_ONLY }));
    if (lab.chosen.includes('over_naive')) {
      started.push(
        await startBurstSide(lab, { name: 'naive', program: 'naive-program', values, overrides: TEXT_ONLY }),
      );
    }
    const python = lab.chosen.includes('over_python_peer') ? await pythonPeer(lab) : { skipped: 'not asked for' };
    if (typeof python === 'function') {
      started.push(await startBurstSide(lab, { name: 'Python', program: python, values, overrides: TEXT_ONLY }));
    }
    const options = { tweets: lab.set.length, windows: lab.windows, seconds: lab.seconds };
    const rates = await alternate(started, options);
    const of = (name: string) => rates[started.findIndex((side) => side.name === name)] ?? [];
    return { ours: of('mner run'), naive: of('naive'), python: typeof python === 'function' ? of('Python') : python };
  } finally {
    for (const side of started) await side.stop();
  }
}
