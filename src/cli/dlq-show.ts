import type { Command } from 'commander';
import { MnerError } from '../errors.js';
import { type DeadLetterView, viewDeadLetter } from '../stream/dead-letter-view.js';
import type { Broker } from '../stream/port.js';
import { readToEnd } from '../stream/read-to-end.js';
import { redriveGroup } from '../stream/redrive.js';
import { readRedriven } from '../stream/redriven.js';
import { inLine, jsonOf, printable, sourceText, withDeadLetters } from './dlq.js';
import { printBytes, printLine } from './print.js';

/** `mner dlq show PARTITION/OFFSET`: one dead letter whole. A person asks for it, so it shows the tweet's text. */
export async function show(place: string, command: Command): Promise<void> {
  const options = command.opts<{ json?: boolean; raw?: boolean }>();
  const [, partition, offset] = /^(\d{1,9})\/(\d{1,19})$/.exec(place) ?? [];
  if (partition === undefined || offset === undefined)
    throw new MnerError(
      'bad_input',
      `A dead letter is named as PARTITION/OFFSET, say 3/120, not ${JSON.stringify(place)}.`,
    );
  await withDeadLetters(command, async (broker, config) => {
    const topic = config.dead_letter_topic;
    const group = redriveGroup(config.group);
    const letter = await find(broker, { topic, group, partition: Number(partition), offset: BigInt(offset) });
    if (options.raw) {
      if (letter.truncated) throw new MnerError('bad_input', `The value of ${place} was dropped: it is truncated.`);
      return printBytes(letter.value ?? Buffer.alloc(0));
    }
    const kept = (await broker.offsets(topic, group)).find((one) => one.partition === letter.partition);
    const sentBack = kept !== undefined && readRedriven(kept).has(letter.offset);
    if (options.json) return printLine(JSON.stringify(whole(letter, sentBack)));
    await printLine(describe(topic, letter, sentBack));
  });
}

/** @throws MnerError `bad_input` when there is none */
async function find(
  broker: Broker,
  { topic, group, partition, offset }: { topic: string; group: string; partition: number; offset: bigint },
): Promise<DeadLetterView> {
  let found: DeadLetterView | undefined;
  await readToEnd({
    broker,
    topic,
    group: `${group}.reader`,
    partitions: new Set([partition]),
    take(records) {
      const record = records.find((one) => one.offset === offset);
      if (record) found = viewDeadLetter(record);
      return (records.at(-1)?.offset ?? offset) < offset;
    },
  });
  if (found) return found;
  throw new MnerError(
    'bad_input',
    `There is no dead letter at ${partition}/${offset} in ${topic}; see \`mner dlq list\`.`,
  );
}

function whole(letter: DeadLetterView, sentBack: boolean): object {
  const { headers, key, value, sha256 } = letter;
  return {
    ...jsonOf(letter, sentBack),
    key_base64: key?.toString('base64') ?? null,
    headers: headers.map(([name, bytes]) => ({
      name,
      base64: bytes.toString('base64'),
      text: printable(bytes) ?? null,
    })),
    value_base64: value?.toString('base64') ?? null,
    value_text: value === null ? null : (printable(value) ?? null),
    value_sha256: sha256,
  };
}

function describe(topic: string, letter: DeadLetterView, sentBack: boolean): string {
  const { partition, offset, code, class: kind, message, attempts, source, timestamp, key, headers } = letter;
  const lines = [
    `${topic} ${partition}/${offset}`,
    `  code       ${code ?? 'unknown'} (${kind ?? 'unknown'})`,
    `  message    ${inLine(Buffer.from(message ?? ''))}`,
    `  attempts   ${attempts}`,
    `  source     ${sourceText(letter)}${source?.timestamp ? `, of ${inLine(Buffer.from(source.timestamp))}` : ''}`,
    `  failed     ${new Date(timestamp).toISOString()}`,
    `  sent back  ${sentBack ? 'yes' : 'no'}`,
    `  key        ${inLine(key)}`,
    `  headers    ${headers.length === 0 ? 'none' : ''}`.trimEnd(),
    ...headers.map(([name, bytes]) => `    ${inLine(Buffer.from(name))}: ${inLine(bytes)}`),
    `  value      ${valueLine(letter)}`,
  ];
  const text = letter.value && printable(letter.value);
  return text ? `${lines.join('\n')}\n\n${text}` : lines.join('\n');
}

function valueLine({ value, truncated, sha256 }: DeadLetterView): string {
  if (truncated)
    return `dropped, since it was too large${sha256 === null ? '' : `; its SHA-256 was ${inLine(Buffer.from(sha256))}`}`;
  if (value === null) return 'none (a tombstone)';
  const bytes = `${value.length} bytes`;
  return printable(value) === undefined ? `${bytes} that are no text; --raw prints them` : bytes;
}
