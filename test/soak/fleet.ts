import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startWorker, type WorkerProcess } from '../support/worker-process.js';

/** A place in the fleet, in which one worker follows the other, as under a supervisor. */
export interface Seat {
  readonly name: string;
  /** The worker that is ready, or null. */
  readonly worker: WorkerProcess | null;
  /** Workers that it has had. */
  readonly lives: number;
  /** Puts a worker in, and resolves when it is ready; one that cannot start yet is tried again. */
  fill(): Promise<void>;
  /** Ends the worker by our will. Its exit code. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
  signal(name: 'SIGSTOP' | 'SIGCONT'): void;
}

export interface Fleet {
  seat(name: string): Seat;
  /** Ends of workers that nobody asked for, and drains that ended neither well nor by their deadline, each in a sentence. */
  readonly complaints: readonly string[];
  /** Drains whose deadline passed, in the midst of other faults: the next worker did the rest (exit code 6). */
  readonly lateDrains: number;
  /** Starts that were tried again: a server that the worker asked for did not answer, and it said so (exit code 4). */
  readonly retries: number;
  stop(): Promise<void>;
}

/** Exit code of a worker whose servers do not answer at its start. */
const NO_SERVER = 4;
const DRAIN_TIMED_OUT = 6;

export function createFleet(env: Readonly<Record<string, string>>, logs: string): Fleet {
  const seats: Seat[] = [];
  const complaints: string[] = [];
  let retries = 0;
  let lateDrains = 0;
  let over = false;

  const seat = (name: string): Seat => {
    let worker: WorkerProcess | null = null;
    let lives = 0;
    const keepLog = (log: string) => appendFileSync(join(logs, `${name}.log`), `--- life ${lives}\n${log}`);

    const fill = async (): Promise<void> => {
      while (!worker && !over) {
        lives += 1;
        try {
          const fresh = await startWorker({ ...env, MNER_LOG_FORMAT: 'json' });
          worker = fresh;
          void fresh.ended.then((code) => ended(fresh, code));
        } catch (error) {
          const { message } = error as Error;
          keepLog(message);
          if (!message.startsWith(`The worker ended with ${NO_SERVER} `)) complaints.push(`${name}: ${message}`);
          retries += 1;
          await sleep(1000);
        }
      }
    };
    const ended = (gone: WorkerProcess, code: number | null): void => {
      keepLog(gone.log());
      if (worker !== gone) return;
      worker = null;
      complaints.push(`${name} ended with ${code} by itself:\n${gone.log().split('\n').slice(-8).join('\n')}`);
      void fill();
    };
    const made: Seat = {
      name,
      get worker() {
        return worker;
      },
      get lives() {
        return lives;
      },
      fill,
      async end(signal) {
        const gone = worker;
        worker = null;
        const code = (await gone?.stop(signal)) ?? null;
        if (gone && signal === 'SIGTERM' && code === DRAIN_TIMED_OUT) lateDrains += 1;
        else if (gone && signal === 'SIGTERM' && code !== 0) complaints.push(`${name} drained, and ended with ${code}`);
        return code;
      },
      signal: (signal) => void (worker && process.kill(worker.pid, signal)),
    };
    seats.push(made);
    return made;
  };

  return {
    seat,
    complaints,
    get lateDrains() {
      return lateDrains;
    },
    get retries() {
      return retries;
    },
    async stop() {
      over = true;
      await Promise.all(seats.map((one) => one.end('SIGTERM')));
    },
  };
}
