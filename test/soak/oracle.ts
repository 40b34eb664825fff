import type { Deserved } from './traffic.js';

/** A record as a reader saw it, in any of the three topics. */
export interface Seen {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly id: string;
  /** Digest of its key and its value; of an output, null. */
  readonly digest: string | null;
  /** Of outputs and dead letters: the input that they say they come from. */
  readonly source: { readonly partition: number; readonly offset: bigint } | null;
  /** What it is; null for an input. */
  readonly outcome: Deserved | string | null;
}

export interface Verdict {
  /** Inputs without an outcome. */
  readonly lost: readonly string[];
  /** Outcomes beyond the first one of their input. */
  readonly repeated: readonly string[];
  /** Outcomes that their input did not deserve, or without an input, or with other bytes than it had. */
  readonly wrong: readonly string[];
  /** Outcomes that came before one of an older input of the same partition; of repeated ones the first counts. */
  readonly disordered: readonly string[];
}

/**
 * The judge. An input is known by its place, not by its id: a producer that got no answer may have written one twice, and then
 * each of the two deserves an outcome of its own.
 *
 * @param inputs all that lie in the input topic
 * @param outcomes of each topic all that readers see, in the order in which they see them within a partition
 * @param deserved what must become of an id; undefined for one that was never sent
 */
export function judge(
  inputs: readonly Seen[],
  outcomes: readonly Seen[],
  deserved: (id: string) => Deserved | string | undefined,
): Verdict {
  const byPlace = new Map(inputs.map((input) => [placeOf(input.partition, input.offset), input]));
  const done = new Set<string>();
  const last = new Map<string, bigint>();
  const repeated: string[] = [];
  const wrong: string[] = [];
  const disordered: string[] = [];
  for (const outcome of outcomes) {
    const at = `${outcome.id} at ${outcome.topic}/${outcome.partition}/${outcome.offset}`;
    const { source } = outcome;
    const place = source === null ? '' : placeOf(source.partition, source.offset);
    const input = byPlace.get(place);
    if (source === null || !input || input.id !== outcome.id) {
      wrong.push(`${at} has no input`);
      continue;
    }
    const due = deserved(outcome.id);
    if (outcome.outcome !== due) wrong.push(`${at} is ${outcome.outcome}, and not ${due}`);
    if (outcome.digest !== null && outcome.digest !== input.digest) wrong.push(`${at} has other bytes than its input`);
    if (done.has(place)) {
      repeated.push(at);
      continue;
    }
    done.add(place);
    const lane = `${outcome.topic} ${source.partition}`;
    if (source.offset < (last.get(lane) ?? -1n)) disordered.push(at);
    last.set(lane, source.offset);
  }
  const lost = [...byPlace].filter(([place]) => !done.has(place)).map(([place, { id }]) => `${id} at ${place}`);
  return { lost, repeated, wrong, disordered };
}

function placeOf(partition: number, offset: bigint): string {
  return `${partition}/${offset}`;
}
