import { join } from 'node:path';
import type { Command } from 'commander';
import { checkBundle, listBundles, resolveBundle } from '../inference/bundle.js';
import { formatTable, printLine } from './print.js';
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
  const bundles = await listBundles(root);
  if (what === 'verify') {
    const wanted = name === undefined ? bundles.map((one) => one.name) : [await resolveBundle(root, name)];
    for (const one of wanted) {
      const { manifest } = await checkBundle(join(root, one));
      await printLine(
        json
          ? JSON.stringify({ name: one, ok: true })
          : `${one}: ${Object.keys(manifest.files).length} files as the manifest has them`,
      );
    }
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
