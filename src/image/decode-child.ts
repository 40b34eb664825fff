/**
 * The decoding process: takes pictures that strangers drew, one at a time, and answers its worker over the channel between them.
 * Started by `decode-process.ts`, and by nothing else.
 */
import { openWorkerChannel, worker } from '../inference/channel.js';
import { createLocalDecoder } from './decode-local.js';
import type { DecodeSettings, FromDecoder } from './decode-wire.js';

const decoder = createLocalDecoder({ ...(JSON.parse(process.argv[2] ?? '{}') as DecodeSettings), concurrency: 1 });

// Ctrl-C reaches the whole process group, but the worker still drains through this process: only the worker ends it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
// The worker stopped, or died, be it by kill -9. An ordinary exit would wait for the thread that decodes, perhaps for ever.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
worker.on('message', (bytes) => {
  void decoder.decode(bytes as Uint8Array).then((decoded) => send({ type: 'answer', decoded }));
});
const channel = openWorkerChannel();
if (!process.connected) process.exit(0);
send({ type: 'ready' });

function send(message: FromDecoder): void {
  // A worker that is gone cannot be told; `disconnect` ends this process.
  channel.send(message);
}
