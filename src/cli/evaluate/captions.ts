import { MnerError } from '../../errors.js';

/**
 * Reads captions of pictures: `image id<TAB>caption` on each line, as DATA.md has them. An empty caption is none.
 *
 * @throws MnerError `bad_input` when a line holds no tab
 */
export function readCaptions(content: string): ReadonlyMap<string, string> {
  const captions = new Map<string, string>();
  content.split(/\r?\n/).forEach((line, i) => {
    if (line === '') return;
    const tab = line.indexOf('\t');
    if (tab <= 0) {
      throw new MnerError('bad_input', `Line ${i + 1} of the captions is not an image id, a tab and a caption.`);
    }
    const caption = line.slice(tab + 1).trim();
    if (caption !== '') captions.set(line.slice(0, tab).trim(), caption);
  });
  return captions;
}
