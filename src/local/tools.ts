import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { MnerError } from '../errors.js';

/** The whole path of a program on the PATH, or null. */
export async function findTool(name: string): Promise<string | null> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, name);
    if (folder && (await executable(path))) return path;
  }
  return null;
}

/**
 * Finds a program on the PATH; where it is missing and we are root on a system with apt, installs its package.
 *
 * @param say what to call before an installation, which takes seconds to minutes
 * @throws MnerError `missing_tool`, a sentence that says what to install
 */
export async function provideTool(name: string, debianPackage: string, say: (line: string) => void): Promise<string> {
  const found = await findTool(name);
  if (found) return found;
  const apt = await findTool('apt-get');
  if (!apt || process.getuid?.() !== 0) {
    throw new MnerError(
      'missing_tool',
      `\`${name}\` is not on the PATH: install it (on Debian or Ubuntu: \`apt-get install ${debianPackage}\`).`,
    );
  }
  say(`installing ${debianPackage} from the system's packages`);
  const installed = await install(apt, debianPackage);
  const now = await findTool(name);
  if (now) return now;
  throw new MnerError(
    'missing_tool',
    `\`${name}\` is not on the PATH, and \`apt-get install ${debianPackage}\` failed: ${installed}`,
  );
}

/**
 * A Java of at least version 17, from JAVA_HOME or the PATH, with a word for its exact build.
 *
 * @throws MnerError `missing_tool`, a sentence that says what to install
 */
export async function findJava(): Promise<{ path: string; build: string }> {
  const home = process.env.JAVA_HOME;
  const path =
    home && (await executable(join(home, 'bin', 'java'))) ? join(home, 'bin', 'java') : await findTool('java');
  const wanted = `install Java ${JAVA} or newer (on Debian or Ubuntu: \`apt-get install openjdk-17-jre-headless\`).`;
  if (!path) throw new MnerError('missing_tool', `A local Kafka needs Java, and there is none: ${wanted}`);
  const { output } = await capture(path, ['-version']);
  const version = /version "([^"]+)"/.exec(output)?.[1] ?? 'unknown';
  if (!(Number.parseInt(version, 10) >= JAVA)) {
    throw new MnerError('missing_tool', `A local Kafka needs Java ${JAVA}, and ${path} is ${version}: ${wanted}`);
  }
  return { path, build: version.replace(/[^\w.+-]/g, '_') };
}

const JAVA = 17;

async function executable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Returns the last line that apt said. Debian's packages start their service at once, on its default port: that is held off. */
async function install(apt: string, debianPackage: string): Promise<string> {
  const heldOff = await writeFile(POLICY, '#!/bin/sh\nexit 101\n', { flag: 'wx', mode: 0o755 }).then(
    () => true,
    () => false, // There is one already, as in most containers.
  );
  try {
    await capture(apt, ['update', '-qq']);
    const { output } = await capture(apt, ['install', '-y', '-qq', '--no-install-recommends', debianPackage]);
    return output.trim().split('\n').pop() ?? '';
  } finally {
    if (heldOff) await rm(POLICY, { force: true });
  }
}

const POLICY = '/usr/sbin/policy-rc.d';

function capture(command: string, args: string[]): Promise<{ ok: boolean; output: string }> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return new Promise((resolve) => {
    const child = execFile(command, args, { env, maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      resolve({ ok: !error, output: stdout + stderr });
    });
    child.stdin?.end();
  });
}
