import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('member.mjs', import.meta.url));

export type DeliveryMode = 'at_least_once' | 'exactly_once';

export interface MemberSettings {
  /** Its client id, and the `made-by` of its outputs. */
  readonly name: string;
  readonly brokers: readonly string[];
  readonly group: string;
  readonly input: string;
  readonly output: string;
  readonly dead: string;
  readonly delivery: DeliveryMode;
  /** @default 4000 */
  readonly sessionTimeoutMs?: number;
  /** Of a transaction. @default 3000 */
  readonly timeoutMs?: number;
  /** How long the work on a record takes, about. @default 20 */
  readonly recordMs?: number;
  /** @default 3000 */
  readonly drainMs?: number;
  /** @default 50 */
  readonly commitEveryMs?: number;
  /** Records of a lane that are in process at once. @default 16 */
  readonly laneRecords?: number;
}

/** What a member has said: typed events of the worker, and `joined`, `assigned`, `working`, `held`, `draining`, `failed`, `told`. */
export interface Said {
  readonly type: string;
  /** When we heard it, by `performance.now()`. */
  readonly at: number;
  readonly message?: string;
  readonly code?: string;
  readonly result?: string;
  readonly partitions?: readonly number[];
  readonly [field: string]: unknown;
}

/** A worker without models, in a process of its own (member.mjs): lanes, delivery and the real client, whose work is a wait. */
export interface Member {
  readonly name: string;
  /** All that it has said so far. */
  readonly said: readonly Said[];
  /** Its whole log, for people. */
  log(): string;
  /**
   * The first thing said that fits, among those after the first `from`.
   * @throws Error when it ends without having said it
   */
  says(fits: (said: Said) => boolean, from?: number): Promise<Said>;
  signal(name: NodeJS.Signals): void;
  /** Makes its work wait, or go on; resolves once it has heard that. It says `held` when a record waits. */
  work(what: 'hold' | 'go'): Promise<void>;
  /** Its exit code when it has ended; null after a signal. */
  readonly exit: Promise<number | null>;
}

const DEFAULTS = {
  ...{ sessionTimeoutMs: 4000, timeoutMs: 3000, recordMs: 20, drainMs: 3000, commitEveryMs: 50, laneRecords: 16 },
};

export function startMember(settings: MemberSettings): Member {
  const child: ChildProcess = spawn(process.execPath, [PROGRAM, JSON.stringify({ ...DEFAULTS, ...settings })]);
  const said: Said[] = [];
  const waiting = new Set<() => void>();
  let output = '';
  let rest = '';
  let ended = false;
  const news = () => {
    for (const tell of [...waiting]) tell();
  };
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    const at = performance.now();
    for (const line of lines) said.push({ ...(JSON.parse(line) as Said), at });
    news();
  });
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  child.stdin?.on('error', () => {});
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  void exit.then(() => {
    ended = true;
    news();
  });
  const log = () =>
    [
      `--- ${settings.name}`,
      ...said.map(({ at, ...rest }) => `${Math.round(at)} ${JSON.stringify(rest)}`),
      output,
    ].join('\n');

  const says: Member['says'] = async (fits, from = 0) => {
    let looked = from;
    for (;;) {
      for (; looked < said.length; looked += 1) if (fits(said[looked] as Said)) return said[looked] as Said;
      if (ended) throw new Error(`It ended without saying it.\n${log()}`);
      await new Promise<void>((resolve) => {
        const tell = () => {
          waiting.delete(tell);
          resolve();
        };
        waiting.add(tell);
      });
    }
  };

  return {
    name: settings.name,
    said,
    log,
    says,
    exit,
    signal: (name) => void child.kill(name),
    async work(what) {
      const from = said.length;
      child.stdin?.write(`${what}\n`);
      await says(({ type, line }) => type === 'told' && line === what, from);
    },
  };
}

/** An assignment of so many partitions. */
export function given(partitions: number): (said: Said) => boolean {
  return (said) => said.type === 'assigned' && said.partitions?.length === partitions;
}

/** A note whose message fits. */
export function note(message: RegExp): (said: Said) => boolean {
  return (said) => said.type === 'note' && message.test(said.message ?? '');
}

/** The end of a transaction. */
export function transaction(result: 'committed' | 'aborted' | 'unknown'): (said: Said) => boolean {
  return (said) => said.type === 'transaction' && said.result === result;
}
