import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

/** How such an end is told. */
export const CLOSED_AT_ONCE = 'it was closed at once';

/**
 * Tells kafkajs that a connection failed when the other end closes it before it has said anything, as a proxy or a load balancer
 * does whose broker is down: it accepts whoever comes, finds nobody behind it, and closes.
 *
 * kafkajs takes such an end for that of a connection which has served. It then dials the same address again and again, neither
 * another one of its list nor with fresh metadata, and lanes whose leader has long moved stand still for the five minutes that
 * metadata lives. An error in its place sends it on. What ends before TLS stands has an error of its own, which says more.
 */
export function refusing(socket: Socket): Socket {
  let [open, served] = [false, false];
  socket.once(socket instanceof TLSSocket ? 'secureConnect' : 'connect', () => {
    open = true;
  });
  socket.once('data', () => {
    served = true;
  });
  // Before kafkajs's own listener, which finds no request left to fail. By this code it looks for a coordinator elsewhere.
  socket.once('end', () => {
    if (open && !served) socket.emit('error', Object.assign(new Error(CLOSED_AT_ONCE), { code: 'ECONNREFUSED' }));
  });
  return socket;
}
