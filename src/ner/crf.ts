/** A head's linear-chain CRF as a manifest has it: scores, not probabilities. */
export interface CrfScores {
  /** BIO: `O`, `B-X`, `I-X`. */
  readonly labels: readonly string[];
  /** `transitions[i][j]`: label j after label i. */
  readonly transitions: readonly (readonly number[])[];
  readonly start: readonly number[];
  readonly end: readonly number[];
}

export interface CrfOptions {
  /** Divides all scores before they become probabilities; the best path stays the same. @default 1 */
  readonly temperature?: number;
  /** Lets an `I-X` follow anything, if the transitions do. @default false */
  readonly lenient?: boolean;
}

/** An entity as words: the first, and the one after the last. */
export interface Chunk {
  readonly type: string;
  readonly from: number;
  readonly to: number;
}

/** Exact inference in the chain. Every method reads emissions as [words, labels], row by row. */
export interface Crf {
  readonly labels: number;
  /** The best path's labels; of equally good ones that with the lowest labels from the end on. */
  viterbi(emissions: Float32Array): Uint8Array;
  /** Probability that exactly this chunk is chosen: `B-X` at its first word, `I-X` on the others, and no `I-X` after it. */
  probabilities(emissions: Float32Array, chunks: readonly Chunk[]): number[];
  /** [words, labels] probability of each label at each word. */
  marginals(emissions: Float32Array): Float64Array;
  /** Logarithm of the sum over all paths, at the temperature. */
  logPartition(emissions: Float32Array): number;
}

/** Below it a transition is forbidden: its probability is 0 in a double, whatever the emissions say. */
const FORBIDDEN = -5000;

/**
 * A workspace is kept and grows with the longest tweet, so that reading a tweet allocates nothing but its result. Not
 * re-entrant, which synchronous code never notices.
 */
export function createCrf(
  { labels, transitions, start, end }: CrfScores,
  { temperature = 1, lenient = false }: CrfOptions = {},
): Crf {
  const size = labels.length;
  const allowed = (before: number | null, after: number): boolean => {
    const label = labels[after] as string;
    if (lenient || !label.startsWith('I-')) return true;
    return before !== null && (labels[before] as string).slice(1) === label.slice(1);
  };
  const begin = Float64Array.from(start, (score, label) => (allowed(null, label) ? ruled(score) : -Infinity));
  const finish = Float64Array.from(end, ruled);
  const steps = new Float64Array(size * size);
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      steps[i * size + j] = allowed(i, j) ? ruled((transitions[i] as readonly number[])[j] as number) : -Infinity;
    }
  }
  // Probabilities are computed from scores at the temperature; weights are their exponentials.
  const logSteps = steps.map((score) => score / temperature);
  const weights = logSteps.map(Math.exp);
  const logBegin = begin.map((score) => score / temperature);
  const logFinish = finish.map((score) => score / temperature);

  let best = new Float64Array(size * 64);
  let back = new Uint8Array(size * 64);
  let alpha = new Float64Array(size * 64);
  let beta = new Float64Array(size * 64);
  const scratch = new Float64Array(size);
  const reserve = (words: number) => {
    if (words * size <= best.length) return;
    const length = words * size * 2;
    best = new Float64Array(length);
    back = new Uint8Array(length);
    alpha = new Float64Array(length);
    beta = new Float64Array(length);
  };

  /** Writes the exponentials of `values[at…]` less their largest into the scratch space; gives the largest. */
  const exponentials = (values: Float64Array, at: number): number => {
    let most = -Infinity;
    for (let j = 0; j < size; j++) if ((values[at + j] as number) > most) most = values[at + j] as number;
    for (let j = 0; j < size; j++) {
      scratch[j] = most === -Infinity ? 0 : Math.exp((values[at + j] as number) - most);
    }
    return most;
  };

  /** alpha[t, j]: log of the sum over all paths that end in label j at word t. */
  const forward = (emissions: Float32Array, words: number): number => {
    for (let j = 0; j < size; j++) alpha[j] = (logBegin[j] as number) + (emissions[j] as number) / temperature;
    for (let t = 1; t < words; t++) {
      const at = t * size;
      const most = exponentials(alpha, at - size);
      for (let j = 0; j < size; j++) {
        let sum = 0;
        for (let i = 0; i < size; i++) sum += (scratch[i] as number) * (weights[i * size + j] as number);
        alpha[at + j] = most + Math.log(sum) + (emissions[at + j] as number) / temperature;
      }
    }
    const last = (words - 1) * size;
    for (let j = 0; j < size; j++) best[j] = (alpha[last + j] as number) + (logFinish[j] as number);
    return logSum(exponentials(best, 0));
  };

  /** beta[t, i]: log of the sum over all ways on from label i at word t. */
  const backward = (emissions: Float32Array, words: number): void => {
    const last = (words - 1) * size;
    for (let i = 0; i < size; i++) beta[last + i] = logFinish[i] as number;
    for (let t = words - 2; t >= 0; t--) {
      const at = t * size;
      const most = ahead(emissions, t + 1);
      for (let i = 0; i < size; i++) {
        let sum = 0;
        for (let j = 0; j < size; j++) sum += (weights[i * size + j] as number) * (scratch[j] as number);
        beta[at + i] = most + Math.log(sum);
      }
    }
  };

  /** Exponentials of what each label at word t is worth with everything after it, less their largest, which it gives. */
  const ahead = (emissions: Float32Array, t: number): number => {
    const at = t * size;
    for (let j = 0; j < size; j++) best[j] = (emissions[at + j] as number) / temperature + (beta[at + j] as number);
    return exponentials(best, 0);
  };

  const logSum = (most: number): number => {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += scratch[j] as number;
    return most + Math.log(sum);
  };

  const wordsOf = (emissions: Float32Array): number => {
    const words = emissions.length / size;
    reserve(words);
    return words;
  };

  return {
    labels: size,

    viterbi(emissions) {
      const words = wordsOf(emissions);
      const path = new Uint8Array(words);
      if (words === 0) return path;
      for (let j = 0; j < size; j++) best[j] = (begin[j] as number) + (emissions[j] as number);
      for (let t = 1; t < words; t++) {
        const at = t * size;
        const before = at - size;
        for (let j = 0; j < size; j++) {
          let most = -Infinity;
          let from = 0;
          for (let i = 0; i < size; i++) {
            const score = (best[before + i] as number) + (steps[i * size + j] as number);
            if (score > most) {
              most = score;
              from = i;
            }
          }
          best[at + j] = most + (emissions[at + j] as number);
          back[at + j] = from;
        }
      }
      const last = (words - 1) * size;
      let label = 0;
      let most = -Infinity;
      for (let j = 0; j < size; j++) {
        const score = (best[last + j] as number) + (finish[j] as number);
        if (score > most) {
          most = score;
          label = j;
        }
      }
      for (let t = words - 1; t >= 0; t--) {
        path[t] = label;
        label = back[t * size + label] as number;
      }
      return path;
    },

    probabilities(emissions, chunks) {
      if (chunks.length === 0) return [];
      const words = wordsOf(emissions);
      const total = forward(emissions, words);
      backward(emissions, words);
      return chunks.map(({ type, from, to }) => {
        const first = labels.indexOf(`B-${type}`);
        const inside = labels.indexOf(`I-${type}`);
        if (first < 0 || from < 0 || to > words || from >= to) return 0;
        let score = alpha[from * size + first] as number;
        let label = first;
        for (let t = from + 1; t < to; t++) {
          if (inside < 0) return 0;
          score += (logSteps[label * size + inside] as number) + (emissions[t * size + inside] as number) / temperature;
          label = inside;
        }
        if (to === words) {
          score += logFinish[label] as number;
        } else {
          const most = ahead(emissions, to);
          let sum = 0;
          for (let j = 0; j < size; j++) {
            if (j !== inside) sum += (weights[label * size + j] as number) * (scratch[j] as number);
          }
          score += most + Math.log(sum);
        }
        // Rounding may lift a sure thing a hair above 1.
        return Math.min(1, Math.exp(score - total));
      });
    },

    marginals(emissions) {
      const words = wordsOf(emissions);
      const result = new Float64Array(emissions.length);
      if (words === 0) return result;
      const total = forward(emissions, words);
      backward(emissions, words);
      for (let at = 0; at < result.length; at++) {
        result[at] = Math.exp((alpha[at] as number) + (beta[at] as number) - total);
      }
      return result;
    },

    logPartition(emissions) {
      const words = wordsOf(emissions);
      return words === 0 ? 0 : forward(emissions, words);
    },
  };
}

function ruled(score: number): number {
  return score <= FORBIDDEN ? -Infinity : score;
}
