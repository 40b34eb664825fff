import type { NerManifest } from '../../inference/manifest.js';
import type { HostedModel } from '../../inference/port.js';
import type { Row } from '../../inference/row.js';
import type { SessionSettings } from '../../inference/settings.js';
import type { Plan } from './batches.js';

/** What the bench tells the process of the bare model. */
export type ToBare =
  | {
      readonly type: 'load';
      readonly model: HostedModel;
      readonly manifest: NerManifest;
      readonly settings: SessionSettings;
      readonly rows: readonly Row[];
    }
  | { readonly type: 'run'; readonly plan: Plan; readonly passes: number };

export type FromBare =
  | { readonly type: 'loaded'; readonly provider: string }
  | { readonly type: 'ran'; readonly seconds: number }
  | { readonly type: 'failed'; readonly message: string };
