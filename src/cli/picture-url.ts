import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MnerError } from '../errors.js';

/** The URL of a picture that a flag names: a URL as it is, a file's as `file:`. @throws MnerError `bad_input` */
export function pictureUrl(source: string): string {
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(source)) return source;
  if (!existsSync(source)) throw new MnerError('bad_input', `The picture ${source} does not exist.`);
  return pathToFileURL(resolve(source)).href;
}
