import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { certificates } from '#mner/credentials/certificates.js';
import type { Event } from '#mner/telemetry/events.js';
import { type Authority, authority, type Issued } from '../support/authority.js';

let ours: Authority;
let one: Issued;
let other: Issued;
let folder = '';
beforeAll(async () => {
  ours = await authority();
  [one, other] = await Promise.all([ours.issue(), ours.issue()]);
  folder = mkdtempSync(join(tmpdir(), 'mner-certificates-'));
});
afterAll(async () => {
  await ours.remove();
  rmSync(folder, { recursive: true, force: true });
});

const ca = (path: string) => ({ path, setting: 'kafka_ssl_ca_file' });
const cert = (path: string) => ({ path, setting: 'kafka_ssl_cert_file' });
const key = (path: string) => ({ path, setting: 'kafka_ssl_key_file' });
const made = (name: string, content: string) => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};

describe('certificates from files', () => {
  it('are taken from their own files, from one file for both, and without any', () => {
    expect(certificates({ ca: ca(ours.ca), cert: cert(one.cert), key: key(one.key) })()).toBeDefined();
    expect(certificates({ cert: cert(one.both), key: key(one.both) })()).toBeDefined();
    expect(certificates({})()).toBeDefined();
  });

  it.each([
    [
      'does not exist',
      () => ({ ca: ca('/nowhere/ca.pem') }),
      'kafka_ssl_ca_file (/nowhere/ca.pem) cannot be read: it does not exist.',
    ],
    [
      'holds something else',
      () => ({ ca: ca(made('a', 'hello')) }),
      'kafka_ssl_ca_file (FOLDER/a) holds no whole certificate (PEM).',
    ],
    [
      'is cut off',
      () => ({ ca: ca(made('b', half(ours.ca))) }),
      'kafka_ssl_ca_file (FOLDER/b) holds no whole certificate (PEM).',
    ],
    [
      'is cut off after a whole one',
      () => ({ ca: ca(made('c', readFileSync(ours.ca, 'utf8') + half(one.cert))) }),
      'kafka_ssl_ca_file (FOLDER/c) holds no whole certificate (PEM).',
    ],
    [
      'has whole lines and broken content',
      () => ({
        cert: cert(made('d', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n')),
        key: key(one.key),
      }),
      'kafka_ssl_cert_file (FOLDER/d) holds no whole certificate (PEM).',
    ],
    [
      'is the key of another certificate',
      () => ({ cert: cert(one.cert), key: key(other.key) }),
      'kafka_ssl_key_file (OTHER) does not belong to kafka_ssl_cert_file (ONE).',
    ],
    [
      'is no key',
      () => ({ cert: cert(one.cert), key: key(made('e', half(one.key))) }),
      'kafka_ssl_key_file (FOLDER/e) holds no usable key (PEM, without a passphrase).',
    ],
  ])('a file that %s is one sentence that names it', (_what, files, message) => {
    const said = () => message.replace('FOLDER', folder).replace('OTHER', other.key).replace('ONE', one.cert);
    expect(() => certificates(files())).toThrow(expect.objectContaining({ code: 'bad_config', message: said() }));
  });

  it('a certificate that is replaced before its key: the old pair stays until the new one is whole', () => {
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    copyFileSync(one.cert, certFile);
    copyFileSync(one.key, keyFile);
    const events: Event[] = [];
    const now = certificates({ cert: cert(certFile), key: key(keyFile) }, (event) => events.push(event));
    const first = now();
    copyFileSync(other.cert, certFile);
    expect(now()).toBe(first);
    expect(events).toEqual([
      {
        type: 'note',
        level: 'warn',
        message: `kafka_ssl_key_file (${keyFile}) does not belong to kafka_ssl_cert_file (${certFile}). What was read before stays.`,
      },
    ]);
    copyFileSync(other.key, keyFile);
    const second = now();
    expect(second).not.toBe(first);
    expect(now()).toBe(second);
    appendFileSync(certFile, '\n');
    expect(now()).not.toBe(second);
    expect(events).toHaveLength(1);
  });
});

function half(path: string): string {
  const text = readFileSync(path, 'utf8');
  return text.slice(0, text.length / 2);
}
