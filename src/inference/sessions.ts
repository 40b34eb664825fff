import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { MnerError } from '../errors.js';
import type { Signature } from './manifest.js';
import type { HostedModel, Tensor, Tensors } from './port.js';
import type { Provider, SessionSettings } from './settings.js';

// ONNX Runtime 1.30 keeps a device id and a database of events under the user's cache folder (in the working folder where it cannot), and
// sends them to its makers. Nothing may leave a worker that its user has not asked for. It is read when the first session opens.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

/** ONNX sessions of every model, all on one execution provider. */
export interface Sessions {
  readonly provider: Provider;
  /** Providers that came before it in the order, and why they do not run. */
  readonly refused: readonly { readonly provider: Provider; readonly reason: string }[];
  /** @throws MnerError `inference_poison` */
  run(model: string, feeds: Tensors): Promise<Tensors>;
  release(): Promise<void>;
}

/**
 * Opens a session for each model on the first provider of the order that can run them all. onnxruntime-node throws where
 * a provider's library or device is missing, so the fallback is ours.
 *
 * @throws MnerError `provider_unavailable`, `bad_bundle`
 */
export async function openSessions(models: readonly HostedModel[], settings: SessionSettings): Promise<Sessions> {
  const refused: { provider: Provider; reason: string }[] = [];
  for (const provider of settings.providers) {
    try {
      return withProvider(provider, refused, await openAll(models, provider, settings.threads));
    } catch (error) {
      // On the CPU nothing but the graph can be at fault.
      if (error instanceof MnerError || provider === 'cpu') throw asBadBundle(error);
      refused.push({ provider, reason: firstLine(error) });
      if (settings.fallback === 'refuse') break;
    }
  }
  const reasons = refused.map(({ provider, reason }) => `${provider}: ${reason}`).join('; ');
  throw new MnerError('provider_unavailable', `No execution provider can start (${reasons}).`);
}

function withProvider(
  provider: Provider,
  refused: Sessions['refused'],
  sessions: ReadonlyMap<string, InferenceSession>,
): Sessions {
  return {
    provider,
    refused,
    async run(model, feeds) {
      const session = sessions.get(model);
      if (!session) throw new MnerError('internal', `The host has no model ${model}.`);
      try {
        const inputs: Record<string, OrtTensor> = {};
        for (const [name, { type, data, dims }] of Object.entries(feeds)) {
          inputs[name] = type === 'float16' ? halves(data, dims) : new OrtTensor(type, data, dims);
        }
        return fromOrt(await session.run(inputs));
      } catch (error) {
        throw new MnerError('inference_poison', `${model} refuses the batch: ${firstLine(error)}`, { cause: error });
      }
    },
    async release() {
      for (const session of sessions.values()) await session.release();
    },
  };
}

async function openAll(
  models: readonly HostedModel[],
  provider: Provider,
  threads: number,
): Promise<Map<string, InferenceSession>> {
  const sessions = new Map<string, InferenceSession>();
  try {
    for (const model of models) {
      const session = await InferenceSession.create((model.graph ?? model.path) as string, {
        executionProviders: [provider],
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        logSeverityLevel: 3,
        // A spinning pool burns ten times the CPU between two batches (measured).
        extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
      });
      sessions.set(model.name, session);
      compare(model, 'input', model.inputs, session.inputMetadata);
      compare(model, 'output', model.outputs, session.outputMetadata);
    }
    return sessions;
  } catch (error) {
    for (const session of sessions.values()) await session.release();
    throw error;
  }
}

/** Holds the graph against the manifest: the same names, types and ranks, and the same size wherever both fix one. */
function compare(
  model: HostedModel,
  what: 'input' | 'output',
  expected: Signature | undefined,
  found: readonly InferenceSession.ValueMetadata[],
): void {
  if (!expected) return;
  const wrong = (problem: string) => new MnerError('bad_bundle', `The graph ${model.path}: ${problem}.`);
  for (const [name, { type, shape }] of Object.entries(expected)) {
    const value = found.find((candidate) => candidate.name === name);
    if (!value?.isTensor) throw wrong(`it has no ${what} ${name}`);
    if (value.type !== type) throw wrong(`${what} ${name} is ${value.type}, not ${type}`);
    const fits = value.shape.length === shape.length && value.shape.every((size, i) => agree(size, shape[i]));
    if (!fits) throw wrong(`${what} ${name} is [${value.shape}], not [${shape}]`);
  }
  const unknown = found.find((value) => !(value.name in expected));
  if (unknown) throw wrong(`its ${what} ${unknown.name} is not in the manifest`);
}

function agree(found: number | string, expected: number | string | undefined): boolean {
  return typeof found !== 'number' || typeof expected !== 'number' || found === expected;
}

function fromOrt(outputs: Readonly<Record<string, OrtTensor>>): Tensors {
  const tensors: Record<string, Tensor> = {};
  for (const [name, { type, data, dims }] of Object.entries(outputs)) {
    if (type === 'float32') tensors[name] = { type, data: data as Float32Array, dims };
    else if (type === 'int64') tensors[name] = { type, data: data as BigInt64Array, dims };
    else if (type === 'uint8') tensors[name] = { type, data: data as Uint8Array, dims };
    else if (type === 'float16') tensors[name] = { type, data: asBits(data as unknown as ArrayBufferView), dims };
    else throw new Error(`output ${name} is ${type}, which no bundle has`);
  }
  return tensors;
}

/**
 * A float16 input. Where Node has a Float16Array (24 does), onnxruntime-common wraps the bits in one, and the native binding of
 * 1.30 takes that for an array of no bytes ("not enough space: expected 9600, got 0"; microsoft/onnxruntime pull request
 * 32323). The bits themselves it reads on every Node, so they are put back.
 */
function halves(data: Uint16Array, dims: readonly number[]): OrtTensor {
  const tensor = new OrtTensor('float16', data, dims);
  if (!(tensor.data instanceof Uint16Array)) Object.assign(tensor, { cpuData: data });
  return tensor;
}

/** Node 24 has a Float16Array and ONNX Runtime uses it there; the port carries bits. */
function asBits(data: ArrayBufferView): Uint16Array {
  return new Uint16Array(data.buffer, data.byteOffset, data.byteLength / 2);
}

function asBadBundle(error: unknown): MnerError {
  if (error instanceof MnerError) return error;
  return new MnerError('bad_bundle', `ONNX Runtime cannot load the graph: ${firstLine(error)}`, { cause: error });
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
