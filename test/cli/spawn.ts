import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const MAIN = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** A command that is talked to while it runs. */
export interface Running {
  readonly pid: number;
  stdout(): string;
  stderr(): string;
  /** Resolves when both streams together hold the text. Rejects when the command ends without. */
  says(text: string): Promise<void>;
  write(text: string): void;
  closeInput(): void;
  /** Closes our end of its stdout, as `head` does. */
  closeOutput(): void;
  kill(signal: NodeJS.Signals): void;
  /** The exit code; null when a signal ended it. */
  readonly ended: Promise<number | null>;
}

/** Starts `mner`. Only the given variables of the MNER family are set. */
export function spawnMner(args: readonly string[], env: Readonly<Record<string, string>> = {}): Running {
  const inherited = Object.entries(process.env).filter(([name]) => !/^(MNER_|KAFKA_|REDIS_)/.test(name));
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...Object.fromEntries(inherited), ...env } });
  let stdout = '';
  let stderr = '';
  let over = false;
  let news = () => {};
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
    news();
  });
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
    news();
  });
  child.stdin.on('error', () => {});
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      over = true;
      news();
      resolve(code);
    });
  });
  return {
    pid: child.pid as number,
    stdout: () => stdout,
    stderr: () => stderr,
    async says(text) {
      while (!stdout.includes(text) && !stderr.includes(text)) {
        if (over) throw new Error(`It ended without a word of ${JSON.stringify(text)}:\n${stdout}${stderr}`);
        await new Promise<void>((resolve) => {
          news = resolve;
        });
      }
    },
    write: (text) => void child.stdin.write(text),
    closeInput: () => void child.stdin.end(),
    closeOutput: () => void child.stdout.destroy(),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}
