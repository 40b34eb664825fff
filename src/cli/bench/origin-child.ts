/** The process of the server of pictures. Started by `origin.ts`, and by nothing else. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

let pictures: readonly Uint8Array[] = [];

const server = createServer((request, response) => {
  const picture = pictures[Number(request.url?.split('/')[1])];
  if (picture) response.writeHead(200, { 'content-type': 'image/jpeg' }).end(picture);
  else response.writeHead(404).end();
});

process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(0));
process.once('message', (given: readonly Uint8Array[]) => {
  pictures = given;
  server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
});
