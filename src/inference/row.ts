/** A text as one row of a batch: L pieces, T words, without padding (docs/bundles.md). */
export interface EncodedRow {
  /** L, with all special ones. */
  readonly pieces: number;
  /** Those of the tweet; what follows is its context. */
  readonly ownPieces: number;
  /** T */
  readonly words: number;
  /** What `inputIds` are padded with. */
  readonly padId: number;
  /** [L] */
  readonly inputIds: Int32Array;
  /** [L] */
  readonly wordOf: Int32Array;
  /** [T] */
  readonly first: Int32Array;
  /** [T, characters per word]; empty where the bundle reads none. */
  readonly chars: Uint8Array;
  /** [T, flags]; empty where the bundle reads none. */
  readonly flags: Float32Array;
  /** [T, 4] rows and their weights; empty where the bundle reads none. */
  readonly neighbours: Uint32Array;
  readonly neighbourWeights: Float32Array;
}

/** A picture as a fusion model takes it. Float16 values travel as their bits; shapes stand in docs/bundles.md. */
export interface PictureInput {
  readonly grid: Uint16Array;
  readonly embedding: Uint16Array;
  /** Best first. */
  readonly tags: readonly { readonly tag: number; readonly score: number }[];
  /** Best first; the box as x0, y0, x1, y1 in shares of width and height. */
  readonly objects: readonly {
    readonly class: number;
    readonly score: number;
    readonly box: readonly [number, number, number, number];
  }[];
}

/** What a batch is made of. */
export interface Row {
  readonly text: EncodedRow;
  readonly picture: PictureInput | null;
}

/** What the model says of a row. */
export interface RowResult {
  /** [T, labels] of the chosen head. */
  readonly emissions: Float32Array;
  /** Probability that the picture belongs to the text; null where the family has no such gate, or there was no picture. */
  readonly relevance: number | null;
  /** [R + K + 1] weight of each grid cell, each object and the scene; null where the family has none, or there was no picture. */
  readonly regions: Float32Array | null;
}
