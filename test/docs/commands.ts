import { mner } from '../support/worker-process.js';

/** The lines of every `sh` block of a page that call `mner`. */
export function commandsOf(page: string): string[] {
  const lines = [...page.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap(([, block]) => (block ?? '').trim().split('\n'));
  return lines.filter((line) => line.startsWith('npx mner '));
}

/** What the commands of a page need to find the servers of the suite; the page's topics are its own. */
export function environmentOf(page: string): Record<string, string> {
  const { MNER_TEST_BROKERS: brokers, MNER_TEST_REDIS_URL: redis } = process.env;
  return {
    ...(brokers && { MNER_BROKERS: brokers }),
    ...(redis && { MNER_REDIS_URL: redis }),
    MNER_INPUT_TOPIC: `${page}.tweets`,
    MNER_OUTPUT_TOPIC: `${page}.entities`,
    MNER_DEAD_LETTER_TOPIC: `${page}.dead`,
    MNER_GROUP: page,
    MNER_HTTP_PORT: '0',
  };
}

/** What a page's command did. */
export interface Done {
  readonly line: string;
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs commands in the order of the page, a worker beside those that follow it; what is done once it has stopped. */
export async function runCommands(lines: readonly string[], env: Record<string, string>): Promise<Done[]> {
  const stop = new AbortController();
  let worker: Promise<Done> | undefined;
  const done: Done[] = [];
  try {
    for (const line of lines) {
      const args = wordsOf(line).slice(2);
      if (args[0] === 'run') worker = mner(args, { env, signal: stop.signal }).then((ended) => ({ line, ...ended }));
      else done.push({ line, ...(await mner(args, { env })) });
    }
  } finally {
    stop.abort();
  }
  return worker ? [...done, await worker] : done;
}

/** A command line's words, as a shell would cut these simple ones. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
}
