import { randomUUID } from 'node:crypto';
import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { certificates } from '#mner/credentials/certificates.js';
import type { Cache } from '#mner/image/port.js';
import { withFreePorts } from '#mner/local/ports.js';
import { type Authority, authority, type Issued } from '../../support/authority.js';
import { RIGHTS, redisCaches, servers } from '../redis-servers.js';

const here = process.env.MNER_TEST_REDIS_URL !== undefined;
const key = () => `mner:img:test:${randomUUID()}`;

describe.skipIf(!here)('Redis with users and TLS (skipped without MNER_TEST_REDIS_URL)', () => {
  const all = servers();
  const { open, stop } = redisCaches();
  afterEach(stop);
  afterAll(() => all.stop());

  /** Everything that a worker does with its cache. */
  const use = async (cache: Cache) => {
    const [kept, leased] = [key(), key()];
    await cache.connect();
    await cache.set(kept, Buffer.from('kept'), 60);
    const found = await cache.getMany([kept]);
    found.push((await cache.findOrClaim(kept, 'a', 60_000)).value);
    const claims = [await cache.claim(leased, 'a', 60_000), await cache.claim(leased, 'a', 60_000)];
    await cache.release(leased, 'a');
    claims.push(await cache.claim(leased, 'b', 60_000));
    return { found: found.map(String), leases: claims.map(({ lease }) => lease) };
  };
  const WORKS = { found: ['kept', 'kept'], leases: ['ours', 'ours', 'ours'] };

  describe.each([
    ['one server', 'standalone', ['every Redis', 'one server, or one behind Sentinels'], ''],
    [
      'one server with a database',
      'standalone',
      ['every Redis', 'one server, or one behind Sentinels', 'a `redis_url` that ends with a database'],
      '/1',
    ],
    ['a Cluster', 'cluster', ['every Redis', 'a Cluster'], ''],
  ] as const)('the rights of docs/security.md for %s', (_what, mode, where, path) => {
    const rights = where.flatMap((row) => RIGHTS.get(row) ?? []);
    let places: readonly string[] = [];
    let admins: Redis[] = [];
    beforeAll(async () => {
      const nodes = mode === 'cluster' ? (await all.cluster()).nodes : [await all.redis()];
      places = nodes.map(({ port }) => `127.0.0.1:${port}`);
      admins = nodes.map(({ url }) => new Redis(url));
    });
    afterAll(() => {
      for (const admin of admins) admin.disconnect();
    });

    /** What the servers denied while a user with these rights did what a worker does. */
    const denied = async (given: readonly string[]) => {
      const user = `user-${randomUUID()}`;
      for (const admin of admins) {
        await admin.call('ACL', 'SETUSER', user, 'on', '>p@ss', ...given);
        await admin.call('ACL', 'LOG', 'RESET');
      }
      // Where a right is missing, some wait for the end; it need not be far.
      const patience = given === rights ? {} : { readyTimeoutMs: 3_000 };
      const { cache } = open({ url: `redis://${user}:p%40ss@${places[0]}${path}`, mode, ...patience });
      const became = await use(cache).catch((error: unknown) => error);
      await cache.stop();
      const logs = await Promise.all(admins.map((admin) => admin.call('ACL', 'LOG')));
      return { became, log: logs.flat() };
    };

    it('are there', () => expect(rights.length).toBeGreaterThan(7));

    it('suffice: everything works, and the server has nothing to deny', async () => {
      expect(await denied(rights)).toEqual({ became: WORKS, log: [] });
    });

    it.each(rights.filter((right) => right.startsWith('+')))('without %s something is denied', async (right) => {
      const { log } = await denied(rights.filter((one) => one !== right));
      expect(log).not.toEqual([]);
    });

    it('do not reach what other programs keep there', async () => {
      const { became, log } = await denied([...rights.filter((one) => !one.startsWith('~')), '~other:*']);
      expect(became).not.toEqual(WORKS);
      expect(log).not.toEqual([]);
    });
  });

  describe('TLS', () => {
    let ours: Authority;
    let good: Issued;
    let client: Issued;
    let admin: Redis;
    let url = '';
    beforeAll(async () => {
      ours = await authority();
      [good, client] = await Promise.all([ours.issue(), ours.issue({ name: 'a worker' })]);
      const server = await all.redis({
        ...{ 'tls-cert-file': good.cert, 'tls-key-file': good.key, 'tls-ca-cert-file': ours.ca },
        ...{ 'tls-auth-clients': 'no', 'tls-port': '0' },
      });
      admin = new Redis(server.url);
      const port = await withFreePorts(1, async ([free = 0]) => {
        await admin.config('SET', 'tls-port', free);
        return free;
      });
      await admin.call('ACL', 'SETUSER', 'worker', 'on', '>hunter2', ...[...RIGHTS.values()].flat());
      url = `rediss://worker:hunter2@127.0.0.1:${port}`;
    });
    afterAll(async () => {
      admin?.disconnect();
      await ours?.remove();
    });
    const shows = ({ cert, key: keyFile }: Issued) =>
      admin.call('CONFIG', 'SET', 'tls-cert-file', cert, 'tls-key-file', keyFile);
    const asks = (clients: 'yes' | 'no') => admin.call('CONFIG', 'SET', 'tls-auth-clients', clients);
    const ca = () => ({ path: ours.ca, setting: 'redis_ca_file' });
    const pair = (of: { cert: string; key: string }) => ({
      ca: ca(),
      cert: { path: of.cert, setting: 'redis_cert_file' },
      key: { path: of.key, setting: 'redis_key_file' },
    });

    it('by an authority that we trust works', async () => {
      expect(await use(open({ url, tls: certificates({ ca: ca() }) }).cache)).toEqual(WORKS);
    });

    it.each<[string, () => Promise<unknown>, () => object, RegExp]>([
      [
        'an authority that is not trusted',
        () => shows(good),
        () => ({}),
        /its certificate is signed by an authority that is not trusted here; name that one in `redis_ca_file`\.$/,
      ],
      [
        'a certificate that has ended',
        async () => shows(await ours.issue({ expired: true })),
        () => ({ ca: ca() }),
        /its certificate has expired; /,
      ],
      [
        'a certificate of another host',
        async () => shows(await ours.issue({ altNames: 'DNS:redis.elsewhere.test' })),
        () => ({ ca: ca() }),
        /its certificate is for another host \(.*\); use a name that it is for in `redis_url`\.$/,
      ],
      [
        'a server that asks for a client certificate',
        async () => {
          await shows(good);
          await asks('yes');
        },
        () => ({ ca: ca() }),
        // Its word, or the end of the connection, which may overtake the word.
        /ask(s)? for a client certificate .*`redis_cert_file`/,
      ],
    ])('with %s: one sentence', async (_what, prepare, files, says) => {
      await prepare();
      const error: unknown = await open({ url, tls: certificates(files()) })
        .cache.connect()
        .catch((caught: unknown) => caught);
      expect(error).toMatchObject({ code: 'cache_unreachable', message: expect.stringMatching(says) });
      expect(String(error)).not.toContain('hunter2');
      await shows(good);
      await asks('no');
    });

    it('with a client certificate works, and with the one that replaces it at the next connection', async () => {
      await asks('yes');
      const files = { cert: join(ours.folder, 'worker.pem'), key: join(ours.folder, 'worker.key') };
      const install = (of: Issued) => {
        copyFileSync(of.cert, files.cert);
        copyFileSync(of.key, files.key);
      };
      install(client);
      const { cache, degraded, states } = open({ url, tls: certificates(pair(files)) });
      expect(await use(cache)).toEqual(WORKS);
      // Nobody here trusts this one: that it is refused proves that it is used.
      const strange = await authority();
      install(await strange.issue());
      const down = degraded(true);
      await admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
      await down;
      expect(await cache.getMany([key()])).toEqual([null]);
      const up = degraded(false);
      install(await ours.issue({ name: 'the next one' }));
      await up;
      expect(states()).toEqual([true, false]);
      expect(await use(cache)).toEqual(WORKS);
      await strange.remove();
    }, 60_000);
  });
});
