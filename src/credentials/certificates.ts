import { X509Certificate } from 'node:crypto';
import { createSecureContext, type SecureContext } from 'node:tls';
import { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { rotating } from './rotating.js';
import { readTextFile } from './text-file.js';

/** A PEM file, with the name of the setting that says where it lies. */
export interface PemFile {
  readonly path: string;
  readonly setting: string;
}

export interface CertificateFiles {
  /** The authorities that sign the server. @default those of Node */
  readonly ca?: PemFile | undefined;
  /** Our own certificate, with those that lead to its authority, for servers that ask for one; goes with `key`. */
  readonly cert?: PemFile | undefined;
  readonly key?: PemFile | undefined;
}

/**
 * What a TLS connection is made with, from files that may rotate: each call gives what the files hold now, or what they
 * held before where that cannot be used.
 *
 * @throws MnerError `bad_config`, now, when a file cannot be read, holds no certificate, or the key belongs to another one
 */
export function certificates(files: CertificateFiles, emit?: Emit): () => SecureContext {
  const all = [files.ca, files.cert, files.key].filter((file) => file !== undefined);
  return rotating(
    all.map(({ path }) => path),
    () => read(files),
    emit,
  );
}

function read({ ca, cert, key }: CertificateFiles): SecureContext {
  const material = {
    ...(ca && { ca: chain(ca) }),
    ...(cert && { cert: chain(cert) }),
    ...(key && { key: contentOf(key) }),
  };
  try {
    return createSecureContext(material);
  } catch (error) {
    const fit = (error as NodeJS.ErrnoException).code === 'ERR_OSSL_X509_KEY_VALUES_MISMATCH';
    throw new MnerError(
      'bad_config',
      `${nameOf(key)} ${fit ? `does not belong to ${nameOf(cert)}` : 'holds no usable key (PEM, without a passphrase)'}.`,
    );
  }
}

/** Node takes an authority's file without a certificate in it for an empty one, and a file that is cut off for its first half. */
function chain(file: PemFile): string {
  const text = contentOf(file);
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  const whole = blocks.length > 0 && blocks.length === text.split('-----BEGIN CERTIFICATE-----').length - 1;
  try {
    if (whole) for (const block of blocks) new X509Certificate(block);
    if (whole) return text;
  } catch {
    // Said below.
  }
  throw new MnerError('bad_config', `${nameOf(file)} holds no whole certificate (PEM).`);
}

function contentOf(file: PemFile): string {
  return readTextFile(file.path, nameOf(file));
}

function nameOf(file: PemFile | undefined): string {
  return file ? `${file.setting} (${file.path})` : 'The certificate';
}
