import type { ErrorCode } from '../errors.js';
import type { HostedModel, Tensors } from './port.js';
import type { Provider, SessionSettings } from './settings.js';

/** What a worker tells its inference process. Messages are handled in the order in which they were sent. */
export type ToChild =
  | { readonly type: 'start'; readonly models: readonly HostedModel[]; readonly settings: SessionSettings }
  | { readonly type: 'run'; readonly id: number; readonly model: string; readonly feeds: Tensors }
  | { readonly type: 'stop' };

/** What an inference process tells its worker. */
export type FromChild =
  | {
      readonly type: 'ready';
      readonly provider: Provider;
      readonly refused: readonly { readonly provider: Provider; readonly reason: string }[];
    }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'result'; readonly id: number; readonly outputs: Tensors }
  | { readonly type: 'refused'; readonly id: number; readonly code: ErrorCode; readonly message: string };
