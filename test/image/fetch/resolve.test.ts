import { lookup } from 'node:dns/promises';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { createResolve, type ResolverOptions } from '#mner/image/fetch/resolve.js';
import { type EvilDns, evilDns, type Tell } from './evil-dns.js';

const open: EvilDns[] = [];
afterEach(async () => {
  for (const dns of open.splice(0)) await dns.stop();
});

/** Resolves by a name server that says what `tell` says. */
async function resolving(tell: Tell, options: ResolverOptions = {}) {
  const dns = await evilDns(tell);
  open.push(dns);
  const resolve = createResolve({ servers: [dns.server], timeoutMs: 4_000, tries: 1, ...options });
  const ask = (name: string) =>
    new Promise<string[]>((settle, reject) => {
      resolve(name, (error, answers) => (error ? reject(error) : settle(answers.map(({ address }) => address))));
    });
  return { ask, dns };
}

it('gives the addresses of both families, IPv4 first', async () => {
  const { ask } = await resolving((_, family) => (family === 4 ? ['8.8.8.8', '8.8.4.4'] : ['2606:4700::1']));
  expect(await ask('pictures.example')).toEqual(['8.8.8.8', '8.8.4.4', '2606:4700::1']);
});

it.each([4, 6] as const)('is content with IPv%d alone', async (only) => {
  const address = only === 4 ? '8.8.8.8' : '2606:4700::1';
  const { ask } = await resolving((_, family) => (family === only ? [address] : []));
  expect(await ask('pictures.example')).toEqual([address]);
});

it('does not wait long for the other family', async () => {
  const { ask } = await resolving((_, family) => (family === 4 ? ['8.8.8.8'] : 'silent'), { timeoutMs: 600_000 });
  expect(await ask('pictures.example')).toEqual(['8.8.8.8']);
});

it('says that a name is unknown, and that nobody answers', async () => {
  const told = await resolving(() => 'unknown');
  await expect(told.ask('gone.example')).rejects.toMatchObject({ code: 'ENOTFOUND' });
  const hung = await resolving(() => 'silent', { timeoutMs: 100 });
  await expect(hung.ask('silent.example')).rejects.toMatchObject({ code: 'ETIMEOUT' });
});

it('asks each time, for a second answer is judged as the first was', async () => {
  let turn = 0;
  const { ask } = await resolving((_, family) => (family === 6 ? [] : [turn++ === 0 ? '8.8.8.8' : '127.0.0.1']));
  expect(await ask('rebinding.example')).toEqual(['8.8.8.8']);
  expect(await ask('rebinding.example')).toEqual(['127.0.0.1']);
});

it('knows this machine by its name without asking', async () => {
  const { ask, dns } = await resolving(() => ['8.8.8.8'], { hostsFile: '/nonexistent' });
  expect(await ask('LOCALHOST.')).toEqual(['127.0.0.1', '::1']);
  expect(await ask('a.localhost')).toEqual(['127.0.0.1', '::1']);
  expect(dns.asked).toEqual([]);
});

it('believes the file of hosts, and asks for no search domain', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mner-hosts-'));
  const hostsFile = join(folder, 'hosts');
  await writeFile(hostsFile, '# local\n10.0.0.7\tStore store.internal # ours\nfd00::7 store\nnonsense x\n');
  try {
    const { ask, dns } = await resolving(() => 'unknown', { hostsFile });
    expect(await ask('store')).toEqual(['10.0.0.7', 'fd00::7']);
    expect(await ask('store.internal')).toEqual(['10.0.0.7']);
    await expect(ask('redis')).rejects.toMatchObject({ code: 'ENOTFOUND' });
    expect([...dns.asked].sort()).toEqual(['redis/4', 'redis/6']);
  } finally {
    await rm(folder, { recursive: true });
  }
});

it('leaves libuv’s threads to others while names hang', async () => {
  const { ask } = await resolving(() => 'silent', { timeoutMs: 3_000 });
  const hanging = Array.from({ length: 16 }, (_, index) => ask(`${index}.silent.example`).catch(() => 'hung'));
  expect((await lookup('localhost')).address).toEqual(expect.any(String));
  expect(await Promise.race([hanging[0], Promise.resolve('others first')])).toBe('others first');
  expect(await Promise.all(hanging)).toEqual(Array.from({ length: 16 }, () => 'hung'));
});
