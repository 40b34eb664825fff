// An inference process for faults: answers with what it is asked, and dies, hangs or fails when the first value says so.
import { openWorkerChannel, worker } from '#mner/inference/channel.js';

const channel = openWorkerChannel();
let hangs = false;
process.on('disconnect', () => process.exit(0));
worker.on('message', (message) => {
  if (message.type === 'start') channel.send({ type: 'ready', provider: 'cpu', refused: [] });
  if (message.type === 'stop') process.exit(0);
  if (message.type !== 'run' || hangs) return;
  const first = message.feeds.x.data[0];
  if (message.feeds.x.data.includes(13)) process.kill(process.pid, 'SIGKILL');
  else if (first === 99) hangs = true;
  else channel.send({ type: 'result', id: message.id, outputs: message.feeds });
});
