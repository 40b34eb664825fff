/**
 * The inference process: holds the ONNX sessions and answers its worker over the channel between them. Started by
 * `host-process.ts`, and by nothing else.
 */
import { asMnerError, MnerError } from '../errors.js';
import { openWorkerChannel, worker } from './channel.js';
import { openSessions, type Sessions } from './sessions.js';
import type { FromChild, ToChild } from './wire.js';

let sessions: Sessions | null = null;
/** Ends when the last message was handled: one after the other. */
let tail: Promise<void> = Promise.resolve();

// Ctrl-C reaches the whole process group, but the worker still drains through this process: only the worker ends it.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.on('SIGHUP', () => {});
worker.on('message', (message) => {
  tail = tail.then(() => handle(message as ToChild));
});
const channel = openWorkerChannel();
// The worker stopped us, or died, be it by kill -9.
process.on('disconnect', () => {
  tail = tail.then(end);
});

async function handle(message: ToChild): Promise<void> {
  switch (message.type) {
    case 'start':
      try {
        sessions = await openSessions(message.models, message.settings);
        send({ type: 'ready', provider: sessions.provider, refused: sessions.refused });
      } catch (error) {
        const { code, message: why } = asMnerError(error);
        send({ type: 'failed', code, message: why });
      }
      return;
    case 'run':
      try {
        if (!sessions) throw new MnerError('internal', 'The inference process was not started.');
        send({ type: 'result', id: message.id, outputs: await sessions.run(message.model, message.feeds) });
      } catch (error) {
        const { code, message: why } = asMnerError(error);
        send({ type: 'refused', id: message.id, code, message: why });
      }
      return;
    case 'stop':
      return end();
  }
}

function send(message: FromChild): void {
  // A worker that is gone cannot be told; `disconnect` ends this process.
  channel.send(message);
}

/** Exits with no run under way and no session open: ONNX Runtime aborts the process otherwise. */
async function end(): Promise<void> {
  const open = sessions;
  sessions = null;
  await open?.release().catch(() => {});
  await channel.flushed();
  process.exit(0);
}
