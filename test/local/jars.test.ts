import { appendFileSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { kafkaJars } from '#mner/local/jars.js';
import { script } from './support.js';

/** The real jars, of the user's cache. */
let real: readonly string[] = [];
let cache = '';
let bin = '';

beforeAll(async () => {
  real = (await kafkaJars()).paths;
}, 300_000);
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), 'mner-jars-'));
  bin = join(cache, 'bin');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(cache, { recursive: true, force: true });
});

describe('the jars of Kafka', () => {
  it('are those of the list, in the cache', () => {
    expect(real).toHaveLength(46);
    expect(real.map((path) => basename(path))).toContain('kafka_2.13-4.3.1.jar');
  });

  it('that miss one in the cache are refused in one sentence that names it and says what to do', async () => {
    fill(join(cache, 'jars'), 'kafka-raft-4.3.1.jar');
    await expect(kafkaJars({ cache })).rejects.toMatchObject({
      code: 'bad_download',
      message: `Kafka's kafka-raft-4.3.1.jar is missing: delete ${join(cache, 'jars')}, and it is fetched again.`,
    });
  });

  it('with an altered one are refused in one sentence that names it', async () => {
    const folder = join(cache, 'jars');
    fill(folder, 'jose4j-0.9.6.jar');
    copyFileSync(jar('jose4j-0.9.6.jar'), join(folder, 'jose4j-0.9.6.jar'));
    appendFileSync(join(folder, 'jose4j-0.9.6.jar'), 'x');
    await expect(kafkaJars({ cache })).rejects.toMatchObject({
      code: 'bad_download',
      message: `Kafka's jose4j-0.9.6.jar does not have the checksum of deploy/kafka/jars.sha256: delete ${folder}, and it is fetched again.`,
    });
  });

  it('are fetched once into an empty cache, also by two at the same moment', async () => {
    maven(`cp ${dirname(real[0] ?? '')}/*.jar "$folder"; echo run >> ${join(cache, 'runs')}`);
    const both = await Promise.all([kafkaJars({ cache }), kafkaJars({ cache })]);
    expect(both[0]?.paths).toEqual(both[1]?.paths);
    const lines: string[] = [];
    await kafkaJars({ cache, say: (line) => lines.push(line) });
    expect(lines).toEqual([]);
    expect(readdirSync(cache).sort()).toEqual(['bin', 'jars', 'runs']);
  });

  it('that Maven brought but are altered do not enter the cache', async () => {
    maven(`cp ${dirname(real[0] ?? '')}/*.jar "$folder"; echo x >> "$folder/re2j-1.8.jar"`);
    await expect(kafkaJars({ cache })).rejects.toMatchObject({ code: 'bad_download' });
    expect(readdirSync(cache)).toEqual(['bin']);
  });

  it('that Maven cannot fetch: its reason in one sentence', async () => {
    maven('echo "[ERROR] Unknown host"; exit 1');
    await expect(kafkaJars({ cache })).rejects.toMatchObject({
      code: 'missing_tool',
      message: 'Maven could not fetch the jars of Kafka; connect to the network once: [ERROR] Unknown host',
    });
    expect(readdirSync(cache)).toEqual(['bin']);
  });

  it('without Maven: one sentence says what to install', async () => {
    vi.stubEnv('PATH', cache);
    await expect(kafkaJars({ cache })).rejects.toMatchObject({
      code: 'missing_tool',
      message: '`mvn` is not on the PATH: install it (on Debian or Ubuntu: `apt-get install maven`).',
    });
  });
});

/** Links all jars but one into a folder. */
function fill(folder: string, without: string): void {
  mkdirSync(folder);
  for (const path of real) if (basename(path) !== without) symlinkSync(path, join(folder, basename(path)));
}

function jar(name: string): string {
  return real.find((path) => basename(path) === name) ?? '';
}

/** A Maven of a few lines, so that no test needs the network. `$folder` is where it shall put the jars. */
function maven(text: string): void {
  script(join(bin, 'mvn'), `for word; do case $word in -DoutputDirectory=*) folder=\${word#*=};; esac; done\n${text}`);
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
}
