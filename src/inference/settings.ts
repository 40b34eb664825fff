import { availableParallelism } from 'node:os';
import type { Emit } from '../telemetry/events.js';

export const PROVIDERS = ['cpu', 'webgpu', 'cuda'] as const;
export type Provider = (typeof PROVIDERS)[number];

/** How sessions are opened. */
export interface SessionSettings {
  /** In order of preference. */
  readonly providers: readonly Provider[];
  /** What to do when a provider cannot start: try the next, or give up. */
  readonly fallback: 'next' | 'refuse';
  /** Threads within one operator. */
  readonly threads: number;
}

export interface SessionOptions {
  /** Execution providers in order of preference. @default ['cpu'] */
  readonly providers?: readonly Provider[];
  /** `next` goes on with the provider that follows and reports itself degraded; `refuse` fails. @default 'next' */
  readonly fallback?: 'next' | 'refuse';
  /** Threads within one operator. @default as many as the machine has cores */
  readonly threads?: number;
}

export function sessionSettings({
  providers = ['cpu'],
  fallback = 'next',
  threads = availableParallelism(),
}: SessionOptions): SessionSettings {
  return { providers, fallback, threads };
}

/** Tells that a host is ready, and which earlier providers of the order could not start. */
export function reportProvider(
  emit: Emit,
  provider: Provider,
  refused: readonly { readonly provider: Provider; readonly reason: string }[],
): void {
  emit({ type: 'inference_ready', provider });
  for (const { provider: missing, reason } of refused) {
    emit({
      type: 'note',
      level: 'warn',
      message: `The execution provider ${missing} cannot start; ${provider} runs instead.`,
      detail: { reason },
    });
  }
}
