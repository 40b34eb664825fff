// A worker that decodes a picture, tells the id of its decoding process, and then waits to be killed, or just ends.
import { createDecoder } from '#mner/image/decode.js';

const decoder = createDecoder({ size: 32 });
const gif = Buffer.from('R0lGODlhAQABAIAAAP8AAAAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64');
const { status } = await decoder.decode(gif);
process.stdout.write(`${status} ${decoder.pids.join()}\n`);
if (process.argv[2] === 'wait') process.stdin.resume();
