import { existsSync } from 'node:fs';
import { dirname } from 'node:path';

/** A GPU in software: SwiftShader's Vulkan driver, which comes with Debian's `chromium`, and the loader beside it. */
const ICD = ['/usr/lib/chromium/vk_swiftshader_icd.json', '/usr/lib/chromium-browser/vk_swiftshader_icd.json'].find(
  (path) => existsSync(path),
);

/** Null where there is none, and the tests of a GPU are skipped. */
export const SOFTWARE_GPU: Readonly<Record<string, string>> | null =
  ICD === undefined ? null : { VK_ICD_FILENAMES: ICD, LD_LIBRARY_PATH: dirname(ICD) };

/** A driver list that names nothing: no GPU, whatever the machine has. */
export const NO_GPU = { VK_ICD_FILENAMES: '/nowhere/icd.json', VK_DRIVER_FILES: '/nowhere/icd.json' };
