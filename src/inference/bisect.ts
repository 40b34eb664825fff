import { asMnerError, MnerError } from '../errors.js';
import { type Emit, silent } from '../telemetry/events.js';

/**
 * Runs rows as one call of a model: a result or an error for each, in their order.
 *
 * @param begun called when the model comes to them; what never calls it is taken to have begun at once
 * @throws MnerError when the call failed as a whole
 */
export type RunBatch<Item, Result> = (
  items: readonly Item[],
  begun?: () => void,
) => Promise<readonly (Result | MnerError)[]>;

/**
 * Runs a batch so that a row that spoils it fails alone, and its neighbours get their results.
 *
 * A batch that fails (`inference_poison`: the graph threw, or the process died under it) is run a second time, since whoever
 * killed the process may have been somebody else. When that fails too, it is cut in halves again and again. Where the first of two halves is
 * fine, the second must be the one at fault, and is cut at once instead of run. A row is called poison only after it failed by itself.
 * One bad row of n takes 2 runs of the whole batch and then one or two for each halving: at most 3 + 2·log2(n), not n.
 *
 * Errors that blame no row (`inference_unavailable`) end the search: what has no result yet gets that error.
 */
export async function runBisected<Item, Result>(
  items: readonly Item[],
  run: RunBatch<Item, Result>,
  emit: Emit = silent,
): Promise<readonly (Result | MnerError)[]> {
  type Outcomes = readonly (Result | MnerError)[];

  const attempt = async (some: readonly Item[]): Promise<Outcomes | MnerError> => {
    try {
      return await run(some);
    } catch (error) {
      return asMnerError(error);
    }
  };

  /** Rows of which it is not known whether one is at fault. */
  const untried = async (some: readonly Item[]): Promise<Outcomes> => {
    const outcomes = await attempt(some);
    if (!(outcomes instanceof MnerError)) return outcomes;
    return isBlame(outcomes) ? guilty(some) : some.map(() => outcomes);
  };

  /** Rows one of which is at fault, by all that is known. */
  const guilty = async (some: readonly Item[]): Promise<Outcomes> => {
    if (some.length === 1) {
      const last = await attempt(some);
      return last instanceof MnerError ? [last] : last;
    }
    const half = some.length >> 1;
    const first = await attempt(some.slice(0, half));
    const rest = some.slice(half);
    if (!(first instanceof MnerError)) return [...first, ...(await guilty(rest))];
    if (!isBlame(first)) return some.map(() => first);
    return [...(await guilty(some.slice(0, half))), ...(await untried(rest))];
  };

  const first = await attempt(items);
  if (!(first instanceof MnerError)) return first;
  if (!isBlame(first)) return items.map(() => first);
  emit({ type: 'batch_retry', how: 'whole' });
  const second = await attempt(items);
  if (!(second instanceof MnerError)) return second;
  if (!isBlame(second) || items.length === 1) return items.map(() => second);
  emit({ type: 'batch_retry', how: 'bisected' });
  return guilty(items);
}

function isBlame({ code }: MnerError): boolean {
  return code === 'inference_poison';
}
