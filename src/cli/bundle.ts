import { join } from 'node:path';
import type { Command } from 'commander';
import { asMnerError, ERRORS, type MnerError } from '../errors.js';
import { checkBundle, listBundles, resolveBundle } from '../inference/bundle.js';
import { createLocalHost } from '../inference/host-local.js';
import { selfTest } from '../serving/self-test.js';
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
  const checked = await checkBundle(folder);
  const host = createLocalHost({ models: [checked.model] });
  try {
    await host.start();
    const cases = await selfTest(checked, host, checked.model.name);
    const files = Object.keys(checked.manifest.files).length;
    const test =
      cases === 0 ? 'it has no self-test' : `the self-test passes (${cases === 1 ? '1 case' : `${cases} cases`})`;
    await printLine(
      json
        ? JSON.stringify({ name, ok: true, self_test: cases })
        : `${name}: ${files} files as the manifest has them; ${test}`,
    );
  } finally {
    await host.stop();
  }
}
