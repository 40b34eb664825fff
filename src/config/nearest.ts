/**
 * The candidate that a mistyped name most probably meant, or undefined when none is near. Keys, variables and flags are compared
 * without what they all share.
 */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const bare = bareName(name);
  let best: string | undefined;
  // A third of the name may be wrong, and at least two characters, but never half of it.
  let limit = Math.min(Math.max(2, Math.floor(bare.length / 3)), Math.ceil(bare.length / 2) - 1) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(bare, bareName(candidate));
    if (distance < limit) {
      limit = distance;
      best = candidate;
    }
  }
  if (best !== undefined) return best;
  // A part of one name alone, such as `port` for `http_port`.
  const wholes = candidates.filter((candidate) => `_${bareName(candidate)}_`.includes(`_${bare}_`));
  return wholes.length === 1 ? wholes[0] : undefined;
}

function bareName(name: string): string {
  return name
    .replace(/^(MNER_|--)/, '')
    .replaceAll('-', '_')
    .toLowerCase();
}

/** The sentence for a name that nobody knows: `what` is for example "The flag --inptu", `otherwise` where to look. */
export function unknownName(what: string, meant: string | undefined, otherwise: string): string {
  return meant === undefined ? `${what} is unknown; ${otherwise}.` : `${what} is unknown; did you mean ${meant}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one word into the other. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, beforeLast[j - 2]! + 1);
      row.push(cost);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
