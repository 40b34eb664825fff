import { parse, YAMLParseError } from 'yaml';
import { readTextFile } from '../credentials/text-file.js';
import { MnerError } from '../errors.js';

/**
 * Reads a configuration file: JSON when its name ends so, YAML otherwise. Messages give places, never lines of the file: they may
 * hold secrets.
 * @throws MnerError `bad_config`
 */
export function readConfigFile(path: string): Record<string, unknown> {
  const text = readTextFile(path, `The configuration file ${path}`);
  const json = /\.json$/i.test(path);
  let content: unknown;
  try {
    content = json ? JSON.parse(text) : parse(text, { logLevel: 'error' });
  } catch (error) {
    const kind = json ? 'JSON' : 'YAML';
    throw new MnerError('bad_config', `The configuration file ${path} is not valid ${kind}${placeOf(error, text)}.`);
  }
  if (content === null || content === undefined) return {};
  if (typeof content !== 'object' || Array.isArray(content)) {
    throw new MnerError(
      'bad_config',
      `The configuration file ${path} must hold names and values, not a list or a text.`,
    );
  }
  return content as Record<string, unknown>;
}

function placeOf(error: unknown, text: string): string {
  if (error instanceof YAMLParseError && error.linePos) {
    const [{ line, col }] = error.linePos;
    const what = error.code === 'DUPLICATE_KEY' ? ': a name stands there twice,' : '';
    return `${what} at line ${line}, column ${col}`;
  }
  const position = error instanceof SyntaxError ? /at position (\d+)/.exec(error.message)?.[1] : undefined;
  if (position === undefined) return '';
  const lines = text.slice(0, Number(position)).split('\n');
  return ` at line ${lines.length}, column ${lines.at(-1)!.length + 1}`;
}
