import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { MnerError } from '../../errors.js';
import type { NerBundle } from '../../inference/bundle.js';
import type { Row } from '../../inference/row.js';
import { type SessionOptions, sessionSettings } from '../../inference/settings.js';
import type { FromBare, ToBare } from './bare-wire.js';
import type { Plan } from './batches.js';

/** A model in an otherwise idle process, with the session options of the worker. */
export interface BareModel {
  /** Calls the model once for each batch, so many times over. Returns the seconds of the calls alone. @throws MnerError `internal` */
  run(plan: Plan, passes: number): Promise<number>;
  /** Safe to call twice. */
  stop(): Promise<void>;
}

export interface BareOptions extends SessionOptions {
  readonly bundle: NerBundle;
  readonly rows: readonly Row[];
}

/** @throws MnerError `internal` with what the process says */
export async function startBare({ bundle, rows, ...options }: BareOptions): Promise<BareModel> {
  const child = fork(fileURLToPath(new URL('./bare-child.js', import.meta.url)), [], {
    serialization: 'advanced',
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const bare: BareModel = {
    async run(plan, passes) {
      const answer = await ask(child, { type: 'run', plan, passes });
      if (answer.type === 'ran') return answer.seconds;
      throw new MnerError('internal', 'The bare model answered out of turn.');
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
  try {
    const { model, manifest } = bundle;
    await ask(child, { type: 'load', model, manifest, settings: sessionSettings(options), rows });
    return bare;
  } catch (error) {
    await bare.stop();
    throw error;
  }
}

function ask(child: ChildProcess, question: ToBare): Promise<FromBare> {
  return new Promise((resolve, reject) => {
    const fail = (message: string) => {
      settle();
      reject(new MnerError('internal', `The bare model failed: ${message}`));
    };
    const onMessage = (answer: FromBare) => {
      if (answer.type === 'failed') return fail(answer.message);
      settle();
      resolve(answer);
    };
    const onExit = () => fail('its process ended.');
    const settle = () => {
      child.off('message', onMessage);
      child.off('exit', onExit);
    };
    child.on('message', onMessage);
    child.on('exit', onExit);
    child.send(question, (error) => {
      if (error) fail(error.message);
    });
  });
}
