import { alternate, ratio } from '../alternate.js';
import { startBurstSide } from '../burst.js';
import type { Measured } from '../figure.js';
import type { Lab } from '../lab.js';
import { TEXT_ONLY, textValues } from '../values.js';

/** `over_naive`: the worker ÷ naive-program.ts, both between topics of the same Kafka. */
export async function overNaive(lab: Lab): Promise<Measured> {
  const values = textValues(lab);
  const worker = await startBurstSide(lab, { name: 'mner run', values, overrides: TEXT_ONLY });
  try {
    const naive = await startBurstSide(lab, { name: 'naive', program: 'naive-program', values, overrides: TEXT_ONLY });
    try {
      const [ours = [], theirs = []] = await alternate([worker, naive], { ...lab, tweets: lab.set.length });
      return ratio(ours, theirs);
    } finally {
      await naive.stop();
    }
  } finally {
    await worker.stop();
  }
}
