/**
 * The reading process: finds the words in grey pictures, one at a time, and answers its worker over the channel between them.
 * Started by `ocr.ts`, and by nothing else. It gets pixels and never a stranger's bytes.
 */
import { createWorker, OEM, PSM } from 'tesseract.js';
import { openWorkerChannel, worker } from '../inference/channel.js';
import type { Grey } from './decode.js';
import type { FromReader, OcrSettings } from './ocr-wire.js';
import { wordsOfTsv } from './ocr-words.js';

const { languagePath } = JSON.parse(process.argv[2] ?? '{}') as OcrSettings;

// Ctrl-C reaches the whole process group, but the worker still drains through this process: only the worker ends it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// The worker stopped, or died, be it by kill -9. An ordinary exit would wait for the engine's thread.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));

// The engine's thread ends this process when it throws; `errorHandler` is for what it reports, which `recognize` throws.
const engine = await createWorker('eng', OEM.LSTM_ONLY, {
  langPath: languagePath,
  gzip: true,
  // Neither reads nor writes `eng.traineddata` in the working directory; without it there is nothing to download.
  cacheMethod: 'none',
  logger: () => {},
  errorHandler: () => {},
});
// As much text as possible, wherever it stands: words in pictures are no page of a book.
await engine.setParameters({ tessedit_pageseg_mode: PSM.SPARSE_TEXT });

worker.on('message', (picture) => {
  void wordsIn(picture as Grey).then((words) => send({ type: 'answer', words }));
});
const channel = openWorkerChannel();
if (!process.connected) process.exit(0);
send({ type: 'ready' });

async function wordsIn(picture: Grey): Promise<string> {
  const { data } = await engine.recognize(pgm(picture), {}, { text: false, tsv: true });
  return wordsOfTsv(data.tsv ?? '');
}

/**
 * Netpbm's grey format, which is its pixels after a line. The comment is as long as the part in which tesseract.js looks for
 * a turn by EXIF: it would find one among the pixels.
 */
function pgm({ width, height, pixels }: Grey): Buffer {
  return Buffer.concat([Buffer.from(`P5\n#${' '.repeat(500)}\n${width} ${height}\n255\n`), pixels]);
}

function send(message: FromReader): void {
  // A worker that is gone cannot be told; `disconnect` ends this process.
  channel.send(message);
}
