// A reading process for faults: the width of a picture says what it does; any other picture has its width as its words.
import { openWorkerChannel, worker } from '#mner/inference/channel.js';

const channel = openWorkerChannel();
const WIDTHS = { die: 1, spin: 2, eat: 3, lie: 4, environment: 5 };
const answer = (words) => channel.send({ type: 'answer', words });
process.on('disconnect', () => process.exit(0));
worker.on('message', ({ width }) => {
  switch (width) {
    case WIDTHS.die:
      process.stderr.write('Aborted()\n');
      process.kill(process.pid, 'SIGSEGV');
      return;
    case WIDTHS.spin:
      for (;;);
    case WIDTHS.eat:
      for (const eaten = []; ; ) eaten.push(Buffer.alloc(2 ** 20, 1));
    case WIDTHS.lie:
      return answer(7);
    case WIDTHS.environment:
      return answer(Object.keys(process.env).join(' '));
    default:
      return answer(String(width));
  }
});
channel.send({ type: 'ready' });
