import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { onTestFinished } from 'vitest';

const FAULTS = pathToFileURL(resolve('test/image/programs/ocr-fault.mjs')).href;

/** A reading process as `programs/ocr-fault.mjs`, which is not ready before it is let. */
export function slowEngine(): { readonly program: string; letStart(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'mner-slow-engine-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const program = join(folder, 'engine.mjs');
  writeFileSync(
    program,
    `import { existsSync } from 'node:fs';
     while (!existsSync(new URL('go', import.meta.url))) await new Promise((resolve) => setTimeout(resolve, 20));
     await import('${FAULTS}');`,
  );
  return { program, letStart: () => writeFileSync(join(folder, 'go'), '') };
}
