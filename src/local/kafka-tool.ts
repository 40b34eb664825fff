import { MnerError } from '../errors.js';
import { type JarsOptions, kafkaToolJars } from './jars.js';
import { runKafkaClass } from './kafka-node.js';
import { findJava } from './tools.js';

/**
 * Runs one of Kafka's own command-line tools to its end, say `org.apache.kafka.tools.ConsoleProducer`, and returns the last 200
 * lines that it said.
 *
 * @param input a file for its standard input. @default nothing
 * @throws MnerError `missing_tool`, `bad_download`; `local_server`, with what it said, when it fails
 */
export async function runKafkaTool(
  className: string,
  args: readonly string[],
  { input, ...options }: JarsOptions & { input?: string } = {},
): Promise<string[]> {
  const { path: java } = await findJava();
  const { paths: jars } = await kafkaToolJars(options);
  const tool = await runKafkaClass({ java, jars, archive: null }, className, [...args], input ? { input } : {});
  const code = await tool.ended;
  if (code === 0) return tool.tail();
  throw new MnerError('local_server', `${className} ended with ${code}: ${tool.tail().pop() ?? 'it said nothing'}`);
}
