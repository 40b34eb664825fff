import { createServer, request } from 'node:http';
import { type AddressInfo, isIPv4 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { type Reload, reloadEndpoint } from '#mner/web/reload.js';

const outside = Object.values(networkInterfaces())
  .flat()
  .find((one) => one && !one.internal && isIPv4(one.address))?.address;

describe('POST /v1/reload', () => {
  const servers: ReturnType<typeof createServer>[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close().closeAllConnections();
  });

  const post = async (reload: Reload, host: string) => {
    const endpoint = reloadEndpoint(reload);
    const server = createServer((incoming, response) => void endpoint(incoming, response));
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '::', resolve));
    const { port } = server.address() as AddressInfo;
    return new Promise<{ status: number | undefined; body: unknown }>((resolve, reject) => {
      const call = request({ host, port, method: 'POST' }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }));
      });
      call.on('error', reject).end();
    });
  };

  it.each(['127.0.0.1', '::1'])('answers this machine (%s) with what took over', async (host) => {
    expect(await post(async () => ({ ok: true, bundles: ['ham-int8@2.0.0'] }), host)).toEqual({
      status: 200,
      body: { bundles: ['ham-int8@2.0.0'] },
    });
  });

  it('answers 409 with what is wrong with the new bundle', async () => {
    const error = { code: 'bad_bundle' as const, message: 'The bundle x cannot be used: model.onnx is missing.' };
    expect(await post(async () => ({ ok: false, error }), '127.0.0.1')).toEqual({ status: 409, body: { error } });
  });

  it.skipIf(!outside)('refuses whoever is not on this machine (skipped without a network)', async () => {
    let asked = 0;
    const reload: Reload = async () => {
      asked++;
      return { ok: true, bundles: [] };
    };
    expect(await post(reload, outside as string)).toMatchObject({
      status: 403,
      body: { error: { code: 'loopback_only' } },
    });
    expect(asked).toBe(0);
  });
});
