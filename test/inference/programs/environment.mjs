// An inference process that answers with the names in its environment.
import { openWorkerChannel, worker } from '#mner/inference/channel.js';

const channel = openWorkerChannel();
worker.on('message', (message) => {
  if (message.type === 'start') channel.send({ type: 'ready', provider: 'cpu', refused: [] });
  if (message.type === 'stop') process.exit(0);
  if (message.type !== 'run') return;
  const data = new TextEncoder().encode(Object.keys(process.env).join(' '));
  channel.send({ type: 'result', id: message.id, outputs: { names: { type: 'uint8', data, dims: [data.length] } } });
});
