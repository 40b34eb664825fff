/** What `watched-program.ts` tells of the time since it was last asked. */
export interface Watched {
  /** How long each tweet waited for its batch. */
  readonly waitsMs: readonly number[];
  /** Of the CPU profile, 0 to 1; null where it does not profile itself. */
  readonly telemetryShare: number | null;
}
