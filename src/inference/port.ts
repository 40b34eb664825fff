import type { Signature } from './manifest.js';

/** Element types that cross the port. A float16 travels as its 16 bits. */
export type TensorData =
  | { readonly type: 'float32'; readonly data: Float32Array }
  | { readonly type: 'float16'; readonly data: Uint16Array }
  | { readonly type: 'int64'; readonly data: BigInt64Array }
  | { readonly type: 'uint8'; readonly data: Uint8Array };

export type Tensor = TensorData & { readonly dims: readonly number[] };

export type Tensors = Readonly<Record<string, Tensor>>;

/** A model for the host: its name in requests, the graph's file, and what its inputs and outputs must be. */
export interface HostedModel {
  readonly name: string;
  readonly path: string;
  /** The graph itself, as it was checked, so that a process that starts again later runs what ran before. @default it is read from `path` */
  readonly graph?: Uint8Array;
  readonly inputs?: Signature;
  readonly outputs?: Signature;
}

/**
 * The port to where ONNX sessions live. Adapters: `host-process.ts` (a child process; a native crash takes no consumer
 * out of its group), `host-pool.ts` (several of these) and `host-local.ts` (this process). All pass test/inference/host-conformance.ts.
 */
export interface InferenceHost {
  /** Loads every model. @throws MnerError `bad_bundle`, `provider_unavailable`, `inference_unavailable` */
  start(): Promise<void>;
  /** The execution provider that runs, known once started. */
  readonly provider: string;
  /** Calls that run side by side; further ones wait behind them. @default 1 */
  readonly processes?: number;
  /**
   * One call of one model. A session runs its calls one after the other.
   *
   * @param begun called when the call's turn has come, and again where a process that died takes it up once more
   * @throws MnerError `inference_poison` when the graph refuses the feeds, or the process died while it ran them (not
   * always by their fault: {@link runBisected} tells), `inference_unavailable` when there is no host to run them (not started, stopped, or it keeps failing)
   */
  run(model: string, feeds: Tensors, begun?: () => void): Promise<Tensors>;
  /** Ends what runs, releases the sessions. Safe to call twice, and before `start`. */
  stop(): Promise<void>;
}
