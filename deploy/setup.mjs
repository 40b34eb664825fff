// The first step of `npm run demo` and `npm test`, and of the image: Node's own modules only, since nothing is installed yet.
// It installs the packages when they are not those of package-lock.json, and builds when the sources are not those of the build.
// The second time it takes a moment.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const OLDEST_NODE = [20, 19];
const INSTALL_STAMP = join(ROOT, 'node_modules', '.mner-setup');
const BUILD_STAMP = join(ROOT, 'dist', '.mner-setup');

checkNode();
install();
build();

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  fail(
    `mner-stream needs Node ${OLDEST_NODE.join('.')} or newer, and this is Node ${process.versions.node}: install a newer one from nodejs.org.`,
  );
}

function install() {
  const lock = readFileSync(join(ROOT, 'package-lock.json'));
  const wanted = createHash('sha256').update(lock).digest('hex');
  if (read(INSTALL_STAMP) === wanted) return;
  if (!installedMatches(JSON.parse(lock.toString()))) {
    say('installing the packages of package-lock.json (npm ci; a minute at the first time)');
    // Its install script would download CUDA libraries; the CPU's are inside the package.
    const env = { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' };
    run(
      'npm',
      ['ci', '--include=dev', '--no-fund', '--no-audit', '--loglevel=error'],
      'The packages could not be installed',
      env,
    );
  }
  writeFileSync(INSTALL_STAMP, wanted);
}

/** Whether npm itself noted, at the end of an installation, that every package of the lock file stands in its place. */
function installedMatches(lock) {
  const note = read(join(ROOT, 'node_modules', '.package-lock.json'));
  if (note === null) return false;
  const installed = JSON.parse(note).packages;
  const locked = Object.entries(lock.packages).filter(([path]) => path !== '');
  const inPlace = ([path, entry]) =>
    installed[path]
      ? installed[path].integrity === entry.integrity && existsSync(join(ROOT, path))
      : entry.optional === true;
  return locked.every(inPlace) && Object.keys(installed).every((path) => path in lock.packages);
}

function build() {
  const sources = filesUnder(join(ROOT, 'src')).filter((file) => file.endsWith('.ts'));
  const state = createHash('sha256');
  for (const file of [...sources.map((file) => join('src', file)), 'tsconfig.json', 'package-lock.json']) {
    const { mtimeMs, size } = statSync(join(ROOT, file));
    state.update(`${file} ${mtimeMs} ${size}\n`);
  }
  const wanted = state.digest('hex');
  const modules = new Set(sources.map((file) => file.replace(/\.ts$/, '')));
  const complete = [...modules].every((name) => existsSync(join(ROOT, 'dist', `${name}.js`)));
  if (complete && read(BUILD_STAMP) === wanted) return;

  say('building');
  // The compiler believes its notes and would not make an output again that somebody deleted.
  if (!complete) rmSync(join(ROOT, 'dist', '.tsbuildinfo'), { force: true });
  removeStale(modules);
  run(
    process.execPath,
    [join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', join(ROOT, 'tsconfig.json')],
    'The build failed',
  );
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  writeFileSync(BUILD_STAMP, wanted);
}

/** What was built from a source that is gone would still be found by imports, and hide that they are broken. */
function removeStale(modules) {
  const dist = join(ROOT, 'dist');
  if (!existsSync(dist)) return;
  for (const file of filesUnder(dist)) {
    const name = /^(.*?)(\.d\.ts|\.js\.map|\.js)$/.exec(file)?.[1];
    if (name !== undefined && !modules.has(name)) rmSync(join(dist, file));
  }
}

/** Paths of all files below a folder, relative to it. */
function filesUnder(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

function run(command, args, failure, env = process.env) {
  const { status, error, stdout } = spawnSync(command, args, {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status === 0) return;
  if (stdout) process.stderr.write(stdout);
  fail(`${failure}${error ? `: ${error.message}` : ''}.`);
}

function read(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

function say(line) {
  process.stderr.write(`set-up: ${line}\n`);
}

function fail(sentence) {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}
