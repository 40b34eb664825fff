import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { freePorts, PortTaken, withFreePorts } from '#mner/local/ports.js';

describe('free ports', () => {
  it('are all different and can be listened on', async () => {
    const ports = await freePorts(6);
    expect(new Set(ports).size).toBe(6);
    for (const port of ports) {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
      expect(server.listening).toBe(true);
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('are tried again, with others, when another process was quicker', async () => {
    const tried: number[] = [];
    const got = await withFreePorts(1, async ([port = 0]) => {
      tried.push(port);
      if (tried.length < 3) throw new PortTaken();
      return port;
    });
    expect(tried).toHaveLength(3);
    expect(got).toBe(tried[2]);
  });

  it('are not tried for ever, and not after another error', async () => {
    let attempts = 0;
    const start = (error: Error) => () => {
      attempts += 1;
      return Promise.reject(error);
    };
    await expect(withFreePorts(1, start(new PortTaken()))).rejects.toThrow(PortTaken);
    expect(attempts).toBe(5);
    await expect(withFreePorts(1, start(new Error('something else')))).rejects.toThrow('something else');
    expect(attempts).toBe(6);
  });
});
