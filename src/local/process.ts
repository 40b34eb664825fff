import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { delay, systemClock } from '../clock.js';

/**
 * A program that runs beside us and never outlives us, however we end.
 *
 * Between us and the program stands a shell, the guard. It holds the reading end of a pipe of which we hold the only
 * writing end and never write to: when we are gone, be it by Ctrl-C, a crash or `kill -9`, the system closes the pipe, and the
 * guard kills the program and removes its folder. The guard and the program have a session of their own, so Ctrl-C at the
 * terminal reaches us alone, and we decide in which order things stop.
 */
export interface Guarded {
  /** The program's own process id, not the guard's. */
  readonly pid: number;
  /** Resolves with the exit code (128 + signal when a signal ended it) when the program has ended. */
  readonly ended: Promise<number>;
  /** False as soon as the program is known to have ended. */
  running(): boolean;
  /** Sends a signal to the program; nothing happens when it has ended. */
  signal(name: NodeJS.Signals): void;
  /** Resolves with the line when the program prints one that holds `text`, with null when it ends without. */
  says(text: string): Promise<string | null>;
  /** The last lines that it printed, both streams together. */
  tail(): string[];
  /** SIGTERM, and SIGKILL after `graceMs`. Safe at any time, any number of times. */
  stop(graceMs: number): Promise<void>;
  /** Whether our own process stays alive as long as this one runs. True at the start. */
  keepAlive(yes: boolean): void;
}

export interface GuardedOptions {
  /** Environment variables beside our own. */
  env?: Record<string, string>;
  /** Folder that the guard removes when we die without stopping the program; its parent too, when it is then empty. */
  removeOnDeath?: string;
  /** File that the program reads as its standard input. @default nothing */
  input?: string;
}

/** @throws what `spawn` reports when there is no shell; a program that does not exist ends with code 127 */
export async function spawnGuarded(command: string, args: string[], options: GuardedOptions = {}): Promise<Guarded> {
  const child = spawn(
    '/bin/sh',
    ['-c', GUARD, 'mner-guard', options.removeOnDeath ?? '', options.input ?? '/dev/null', command, ...args],
    {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    },
  );
  const [lifeline, stdout, stderr, pidPipe] = child.stdio;
  if (!lifeline || !stdout || !stderr || !(pidPipe instanceof Socket)) throw new Error('four pipes were asked for');
  lifeline.on('error', () => {}); // The guard is gone: `ended` tells.

  const lines: string[] = [];
  let waiting: { text: string; resolve: (line: string | null) => void }[] = [];
  const heard = (line: string) => {
    lines.push(line);
    if (lines.length > TAIL) lines.shift();
    waiting = waiting.filter(({ text, resolve }) => {
      if (!line.includes(text)) return true;
      resolve(line);
      return false;
    });
  };
  for (const stream of [stdout, stderr]) byLine(stream, heard);

  let running = true;
  const ended = new Promise<number>((resolve) => {
    // `close` and not `exit`: everything that it printed has then been heard.
    child.once('close', (code) => {
      running = false;
      for (const { resolve: tell } of waiting) tell(null);
      waiting = [];
      resolve(code ?? 1);
    });
  });

  const pid = await new Promise<number>((resolve, reject) => {
    let text = '';
    child.once('error', reject);
    pidPipe.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.endsWith('\n')) resolve(Number(text));
    });
  });

  const guarded: Guarded = {
    pid,
    ended,
    running: () => running,
    signal(name) {
      if (!running) return;
      try {
        process.kill(pid, name);
      } catch {
        // It ended a moment ago, and the guard's news of it is on its way.
      }
    },
    says(text) {
      const said = lines.find((line) => line.includes(text));
      if (said !== undefined || !running) return Promise.resolve(said ?? null);
      return new Promise((resolve) => waiting.push({ text, resolve }));
    },
    tail: () => [...lines],
    async stop(graceMs) {
      if (!running) return;
      guarded.keepAlive(true);
      guarded.signal('SIGTERM');
      guarded.signal('SIGCONT'); // One that stands still (SIGSTOP) would not hear the other.
      const patience = new AbortController();
      await Promise.race([ended.then(() => patience.abort()), delay(systemClock, graceMs, patience.signal)]);
      guarded.signal('SIGKILL');
      await ended;
    },
    keepAlive(yes) {
      child[yes ? 'ref' : 'unref']();
      for (const pipe of child.stdio) if (pipe instanceof Socket) pipe[yes ? 'ref' : 'unref']();
    },
  };
  return guarded;
}

/** How many lines are kept for {@link Guarded.tail}. */
const TAIL = 200;

/**
 * The guard, in POSIX shell: $1 is the folder to remove, $2 the program's input, the rest the command.
 *
 * Descriptor 4 is the lifeline. The watcher blocks on it; at its end it tells the main shell by USR1, whose trap kills the
 * program. The main shell does it, and not the watcher, because it is the parent: as long as it has not waited for the program, the
 * process id cannot belong to another. The trap kills rather than set a flag for later: a signal that comes just before `wait` would
 * not interrupt it. It turns the output off first: nobody reads it any more, and the shell would die of its own "Killed". If somebody killed the main shell, the watcher kills instead.
 */
const GUARD = `
folder=$1; input=$2; shift 2
exec 4<&0 </dev/null
orphan=
child=
trap 'exec >/dev/null 2>&1; orphan=1; kill -KILL "$child"' USR1
"$@" <"$input" 3>&- 4<&- &
child=$!
(
  trap '' INT TERM HUP
  exec >/dev/null 2>&1 3>&-
  read -r line <&4
  kill -USR1 $$ || kill -KILL "$child"
) &
watcher=$!
echo "$child" >&3
exec 3>&- 4<&-
wait "$child"; code=$?
if [ -n "$orphan" ]; then
  wait "$child"
  if [ -n "$folder" ]; then rm -rf "$folder"; rmdir "\${folder%/*}"; fi
  exit 1
fi
kill -KILL "$watcher" 2>/dev/null
exit "$code"
`;

function byLine(stream: NodeJS.ReadableStream, heard: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const parts = (rest + chunk).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) heard(line);
  });
  stream.on('end', () => {
    if (rest) heard(rest);
  });
}
