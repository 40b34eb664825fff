/** What this room has to know of the vision bundle that the inference host runs. */
export interface VisionShape {
  /** Name and version together: features of one bundle are nothing to another. */
  readonly version: string;
  /** Side of the square picture that goes in, in pixels. */
  readonly size: number;
  /** Cells of the grid (R). */
  readonly cells: number;
  /** Numbers in each cell (Dg). */
  readonly cellWidth: number;
  /** Numbers in the embedding (De). */
  readonly embeddingWidth: number;
}
