import { afterEach, describe, expect, it } from 'vitest';
import type { MemoryPage } from '#mner/image/fetch/memory.js';
import type { Origin } from '#mner/image/port.js';

/** An origin with somebody behind it who serves what the suite puts there. */
export interface OriginUnderTest {
  readonly origin: Origin;
  /** Serves the page and says under which URL. */
  put(path: string, page: MemoryPage): string;
  close(): Promise<void>;
}

/** What holds for every origin. `open` gives one that takes bodies of at most `maxBytes`. */
export function originConformance(
  name: string,
  open: (options: { maxBytes: number }) => Promise<OriginUnderTest>,
): void {
  describe(`${name} is an origin`, () => {
    const opened: OriginUnderTest[] = [];
    const start = async () => {
      const one = await open({ maxBytes: 1000 });
      opened.push(one);
      return one;
    };
    const { signal } = new AbortController();
    afterEach(async () => {
      for (const one of opened.splice(0)) await one.close();
    });

    it('gives the bytes as they are', async () => {
      const { origin, put } = await start();
      const bytes = Buffer.from([0, 255, 1, 254, 13, 10]);
      const url = put('/a.jpg', bytes);
      expect(await origin.fetch(url, signal)).toEqual({ status: 'ok', bytes });
    });

    it('gives each caller bytes of its own', async () => {
      const { origin, put } = await start();
      const url = put('/a.jpg', Buffer.from('picture'));
      const first = await origin.fetch(url, signal);
      if (first.status === 'ok') first.bytes.fill(0);
      expect(await origin.fetch(url, signal)).toEqual({ status: 'ok', bytes: Buffer.from('picture') });
    });

    it('takes a body of exactly the limit, and refuses one byte more', async () => {
      const { origin, put } = await start();
      expect(await origin.fetch(put('/fits', Buffer.alloc(1000)), signal)).toMatchObject({ status: 'ok' });
      expect(await origin.fetch(put('/more', Buffer.alloc(1001)), signal)).toMatchObject({ status: 'too_large' });
    });

    it.each(['not_found', 'rate_limited', 'unreachable'] as const)('says %s', async (status) => {
      const { origin, put } = await start();
      expect(await origin.fetch(put('/bad', status), signal)).toMatchObject({ status, detail: expect.any(String) });
    });

    it.each(['ftp://pictures.example/a', 'file:///etc/passwd', 'data:,a', 'nonsense', ''])(
      'refuses "%s"',
      async (url) => {
        const { origin } = await start();
        expect(await origin.fetch(url, signal)).toMatchObject({ status: 'refused' });
      },
    );

    it('gives up a silent host when its caller does', async () => {
      const { origin, put } = await start();
      const controller = new AbortController();
      const result = origin.fetch(put('/silent', 'silent'), controller.signal);
      controller.abort();
      expect(await result).toMatchObject({ status: 'timed_out' });
      expect(await origin.fetch(put('/a', Buffer.from('a')), controller.signal)).toMatchObject({ status: 'timed_out' });
    });

    it('ends what is under way when it stops, and stops twice', async () => {
      const { origin, put } = await start();
      const result = origin.fetch(put('/silent', 'silent'), signal);
      await origin.stop();
      await origin.stop();
      expect(await result).toMatchObject({ status: 'unreachable' });
      expect(await origin.fetch(put('/a', Buffer.from('a')), signal)).toMatchObject({ status: 'unreachable' });
    });
  });
}
