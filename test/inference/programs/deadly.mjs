// The real inference process; it kills itself with -9 when a batch holds the piece of `poison` of the bundle ham-faulty.
import { readFileSync } from 'node:fs';
import { worker } from '#mner/inference/channel.js';

const { model } = JSON.parse(readFileSync('test/fixtures/faulty/ham-faulty/tokenizer.json', 'utf8'));
const poison = BigInt(model.vocab.poison);
// Only now, so that no message comes before the one who answers it.
await import('#mner/inference/host-child.js');
worker.prependListener('message', (message) => {
  if (message.type === 'run' && message.feeds.input_ids.data.includes(poison)) process.kill(process.pid, 'SIGKILL');
});
