import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Files (PEM) of a certificate that an authority has signed. */
export interface Issued {
  readonly cert: string;
  readonly key: string;
  /** Key and certificate in one file, as Kafka takes them. */
  readonly both: string;
}

export interface IssueOptions {
  /** Common name. @default 'mner' */
  readonly name?: string;
  /** @default 'IP:127.0.0.1,DNS:localhost' */
  readonly altNames?: string;
  /** It ended yesterday. @default false */
  readonly expired?: boolean;
}

/** A certificate authority for tests, made with openssl. */
export interface Authority {
  /** The file of its own certificate. */
  readonly ca: string;
  readonly folder: string;
  issue(options?: IssueOptions): Promise<Issued>;
  /** Removes all its files. */
  remove(): Promise<void>;
}

export async function authority(): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'mner-authority-'));
  const [ca, caKey] = [join(folder, 'ca.pem'), join(folder, 'ca.key')];
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl('req', '-x509', ...newKey, '-keyout', caKey, '-out', ca, '-days', '3650', '-subj', '/CN=an authority');
  let count = 0;
  return {
    ca,
    folder,
    async issue({ name = 'mner', altNames = 'IP:127.0.0.1,DNS:localhost', expired = false } = {}) {
      count += 1;
      const stem = join(folder, `issued-${count}`);
      const [cert, key, both] = [`${stem}.pem`, `${stem}.key`, `${stem}.both.pem`];
      await openssl('req', ...newKey, '-keyout', key, '-out', `${stem}.csr`, '-subj', `/CN=${name}`);
      await writeFile(`${stem}.ext`, `subjectAltName=${altNames}\n`);
      const life = ['-days', expired ? '-1' : '3650'];
      await openssl(
        'x509',
        '-req',
        '-in',
        `${stem}.csr`,
        '-CA',
        ca,
        '-CAkey',
        caKey,
        '-extfile',
        `${stem}.ext`,
        '-out',
        cert,
        ...life,
      );
      await writeFile(both, (await readFile(key, 'utf8')) + (await readFile(cert, 'utf8')));
      return { cert, key, both };
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
