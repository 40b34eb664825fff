import { join } from 'node:path';
import type { Command } from 'commander';
import { asMnerError, ERRORS, type MnerError } from '../errors.js';
import { checkBundle, listBundles, resolveBundle } from '../inference/bundle.js';
import { formatTable, printLine, say } from './print.js';
import { settingsOf } from './settings.js';

/** `mner bundle list|show|verify`. */
export async function bundle(
  what: 'list' | 'show' | 'verify',
  name: string | undefined,
  command: Command,
): Promise<void> {
  const { config } = settingsOf(command);
  const root = config.models_dir;
  const { json } = command.opts<{ json?: boolean }>();
  if (what === 'show') {
    const { manifest } = await checkBundle(join(root, await resolveBundle(root, name ?? config.bundle)));
    return printLine(JSON.stringify(manifest, null, json ? 0 : 2));
  }
  const complain = (error: MnerError) => {
    say(`mner: ${error.message}`);
    process.exitCode = ERRORS[error.code].exit;
  };
  const bundles = await listBundles(root, complain);
  if (what === 'verify') {
    const wanted = name === undefined ? bundles.map((one) => one.name) : [await resolveBundle(root, name)];
    for (const one of wanted)
      await verify(join(root, one), one, json === true).catch((error) => complain(asMnerError(error)));
    return;
  }
  await printLine(
    json
      ? JSON.stringify(bundles)
      : formatTable(bundles, [
          { title: 'NAME', of: (one) => one.name },
          { title: 'FAMILY', of: (one) => one.family },
          { title: 'VERSION', of: (one) => one.version },
          { title: 'KIND', of: (one) => one.kind },
          { title: 'PRECISION', of: (one) => one.precision },
          { title: 'SHA-256', of: (one) => one.sha256.slice(0, 12) },
        ]),
  );
}

async function verify(folder: string, name: string, json: boolean): Promise<void> {
  const { manifest } = await checkBundle(folder);
  const files = Object.keys(manifest.files).length;
  await printLine(json ? JSON.stringify({ name, ok: true }) : `${name}: ${files} files as the manifest has them`);
}
