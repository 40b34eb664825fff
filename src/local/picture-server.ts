import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface PictureServer {
  /** `127.0.0.1:port`, as `image_allow` takes it. */
  readonly origin: string;
  /** Requests since the start, by path. */
  readonly requests: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Serves pictures by path on loopback, for the demo, the bench and the tests; an unknown path is a 404. */
export async function servePictures(pictures: ReadonlyMap<string, Buffer>): Promise<PictureServer> {
  const requests = new Map<string, number>();
  const server = createServer((request, response) => {
    const path = request.url ?? '/';
    requests.set(path, (requests.get(path) ?? 0) + 1);
    const picture = pictures.get(path);
    if (picture) response.writeHead(200, { 'content-type': 'image/jpeg' }).end(picture);
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
