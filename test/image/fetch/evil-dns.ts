import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import ipaddr from 'ipaddr.js';

/** Answers a question for the addresses of a name: with addresses, that there are none, or not at all. */
export type Tell = (name: string, family: 4 | 6) => readonly string[] | 'unknown' | 'silent';

export interface EvilDns {
  /** `127.0.0.1:port` */
  readonly server: string;
  /** Questions that came, as `name/family`. */
  readonly asked: readonly string[];
  stop(): Promise<void>;
}

/** A name server on loopback that says what it is told to say. */
export async function evilDns(tell: Tell): Promise<EvilDns> {
  const asked: string[] = [];
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address }) => {
    const { name, type, end } = questionOf(query);
    const family = type === 1 ? 4 : 6;
    asked.push(`${name}/${family}`);
    const told = tell(name, family);
    if (told === 'silent') return;
    const records = told === 'unknown' ? [] : told.map((text) => record(type, text));
    const head = Buffer.alloc(12);
    query.copy(head, 0, 0, 2);
    head.writeUInt16BE(told === 'unknown' ? 0x8183 : 0x8180, 2);
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(records.length, 6);
    socket.send(Buffer.concat([head, query.subarray(12, end), ...records]), port, address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    server: `127.0.0.1:${socket.address().port}`,
    asked,
    async stop() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

function questionOf(query: Buffer): { name: string; type: number; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = query.readUInt8(at); length > 0; length = query.readUInt8(at)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1), end: at + 5 };
}

/** One answer, for the name of the question, without a lifetime. */
function record(type: number, text: string): Buffer {
  const bytes = Buffer.from(ipaddr.parse(text).toByteArray());
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(bytes.length, 10);
  return Buffer.concat([head, bytes]);
}
