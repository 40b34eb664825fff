import { createLocalDecoder } from '../../image/decode-local.js';
import type { VisionBundle } from '../../inference/bundle.js';
import { openSessions } from '../../inference/sessions.js';
import { type SessionOptions, sessionSettings } from '../../inference/settings.js';
import { visionShape } from '../../models.js';

/** The decoder and the vision encoder called one after the other in this process, with the settings of the worker. */
export interface BarePicture {
  /** False for bytes that are no picture of use; the encoder is then not called. */
  understand(bytes: Buffer): Promise<boolean>;
  stop(): Promise<void>;
}

/** @throws MnerError `bad_bundle`, `provider_unavailable` */
export async function openBarePicture(vision: VisionBundle, options: SessionOptions): Promise<BarePicture> {
  const { size } = visionShape(vision);
  const decoder = createLocalDecoder({ size });
  const sessions = await openSessions([vision.model], sessionSettings(options));
  return {
    async understand(bytes) {
      const decoded = await decoder.decode(bytes);
      if (decoded.status !== 'ok') return false;
      const pixels = { type: 'uint8', data: decoded.pixels, dims: [1, size, size, 3] } as const;
      await sessions.run(vision.model.name, { pixels });
      return true;
    },
    async stop() {
      await decoder.stop();
      await sessions.release();
    },
  };
}
