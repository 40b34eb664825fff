// A decoding process for faults: does what stands after a PNG's first eight bytes, or answers with a grey picture.
import { openWorkerChannel, worker } from '#mner/inference/channel.js';

const channel = openWorkerChannel();
const { size } = JSON.parse(process.argv[2]);
const answer = (decoded) => channel.send({ type: 'answer', decoded });
const picture = (length = size * size * 3) => ({
  status: 'ok',
  pixels: new Uint8Array(length).fill(7),
  width: 4,
  height: 3,
});
process.on('disconnect', () => process.exit(0));
worker.on('message', (bytes) => {
  switch (Buffer.from(bytes).subarray(8).toString()) {
    case 'die':
      process.stderr.write('Assertion failed\n');
      process.kill(process.pid, 'SIGSEGV');
      return;
    case 'spin':
      for (;;);
    case 'eat':
      for (const eaten = []; ; ) eaten.push(Buffer.alloc(2 ** 20, 1));
    case 'lie':
      return answer(picture(5));
    case 'babble':
      answer(picture());
      return channel.send({ type: 'ready' });
    case 'environment':
      return answer({ status: 'unreadable', detail: Object.keys(process.env).join(' ') });
    default:
      return answer(picture());
  }
});
channel.send({ type: 'ready' });
