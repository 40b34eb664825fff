import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { findJava, findTool, provideTool } from '#mner/local/tools.js';
import { script } from './support.js';

let bin = '';
beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'mner-tools-'));
  vi.stubEnv('PATH', `${bin}:/usr/bin:/bin`);
  vi.stubEnv('JAVA_HOME', '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(bin, { recursive: true, force: true });
});

describe('a tool', () => {
  it('is found on the PATH', async () => {
    expect(await findTool('sh')).toMatch(/\/sh$/);
    expect(await findTool('no-such-tool')).toBeNull();
  });

  it('that is missing is named in one sentence, with the package to install', async () => {
    vi.stubEnv('PATH', bin);
    await expect(provideTool('redis-server', 'redis-server', () => {})).rejects.toMatchObject({
      code: 'missing_tool',
      message: '`redis-server` is not on the PATH: install it (on Debian or Ubuntu: `apt-get install redis-server`).',
    });
  });
});

describe('Java', () => {
  it('is looked for on the PATH, and its version is read', async () => {
    script(join(bin, 'java'), `echo 'openjdk version "21.0.4" 2024-07-16' >&2`);
    expect(await findJava()).toEqual({ path: join(bin, 'java'), build: '21.0.4' });
  });

  it('of JAVA_HOME comes first', async () => {
    script(join(bin, 'java'), `echo 'openjdk version "21.0.4"' >&2`);
    script(join(bin, 'home/bin/java'), `echo 'openjdk version "17.0.15"' >&2`);
    vi.stubEnv('JAVA_HOME', join(bin, 'home'));
    expect(await findJava()).toEqual({ path: join(bin, 'home/bin/java'), build: '17.0.15' });
  });

  it('that is missing or too old is named in one sentence, with what to install', async () => {
    vi.stubEnv('PATH', bin);
    const wanted = 'install Java 17 or newer (on Debian or Ubuntu: `apt-get install openjdk-17-jre-headless`).';
    await expect(findJava()).rejects.toMatchObject({
      code: 'missing_tool',
      message: `A local Kafka needs Java, and there is none: ${wanted}`,
    });
    script(join(bin, 'java'), `echo 'java version "1.8.0_392"' >&2`);
    await expect(findJava()).rejects.toMatchObject({
      code: 'missing_tool',
      message: `A local Kafka needs Java 17, and ${join(bin, 'java')} is 1.8.0_392: ${wanted}`,
    });
  });
});
