import { z } from 'zod';
import { PROVIDERS } from '../../inference/settings.js';
import { about } from '../about.js';
import { filledText, HOUR_MS, MiB, WORD, word } from '../shapes.js';

/** The model, and how tweets are gathered for it. */
export const modelFields = {
  bundle: word.default('ham').register(about, {
    section: 'Model',
    description:
      'Model bundle: a family (`ham`: the variant that suits this machine) or one bundle exactly (`ham-int8`).',
    value: 'name',
    allowed: WORD,
  }),
  canary_bundle: word.nullable().default(null).register(about, {
    section: 'Model',
    description:
      'A second bundle, tried on `canary_share` of the tweets, in an inference process of its own. `none` is without.',
    value: 'name',
    allowed: WORD,
    off: 'none',
  }),
  canary_share: z.number().min(0).max(1).default(0.05).register(about, {
    section: 'Model',
    description:
      'Share of the tweets that `canary_bundle` reads, 0 to 1, chosen by their ids: the same tweets on every worker that has the same share.',
    value: 'share',
  }),
  models_dir: filledText.default('models').register(about, {
    section: 'Model',
    description: 'Folder that holds the bundles.',
    value: 'dir',
    allowed: 'a folder',
    defaultText: 'the `models` folder of this installation',
  }),
  providers: z.array(z.enum(PROVIDERS)).min(1).default(['cpu']).register(about, {
    section: 'Model',
    description: 'Execution providers in the order in which they are tried; end with `cpu` to fall back on it.',
    value: 'name,…',
  }),
  providers_fallback: z.enum(['next', 'refuse']).default('next').register(about, {
    section: 'Model',
    description:
      'What happens when an execution provider cannot start: `next` goes on with the one that follows in `providers` and says so (`mner_degraded`); `refuse` does not start the worker, so that nobody takes a slow one for a fast one.',
    value: 'policy',
  }),
  inference_timeout_ms: z.int().min(100).max(600_000).default(30_000).register(about, {
    section: 'Model',
    description:
      'Time for one inference call; past it the inference process that runs it is taken for hung and started anew. Lower finds a hang sooner; it must leave room for the largest batch on the slowest machine.',
    value: 'ms',
    unit: 'ms',
  }),
  threads: z.int().min(0).max(256).default(0).register(about, {
    section: 'Model',
    description:
      'Threads that run the model, shared out evenly (rounded down) among the `inference_processes`; 0 takes one per core. Leave a core free when other work shares the machine.',
    value: 'n',
    defaultText: 'one per core',
  }),
  inference_processes: z.int().min(1).max(64).nullable().default(null).register(about, {
    section: 'Model',
    description:
      'Inference processes, which share the `threads`. Several with few threads each do more on a CPU than one with many, and each takes the memory of the model once more. `auto`: a worker takes one, or one for each thread up to eight, whichever it has measured to be faster (see `batch_tokens`), and the latter where it may not measure; where `providers` begins with an accelerator, and in other commands, it is one. A canary has as many of its own.',
    value: 'n',
    off: 'auto',
  }),
  mentions: z.enum(['ignore', 'entity']).default('ignore').register(about, {
    section: 'Model',
    description: 'Whether `@name` may be an entity.',
    value: 'how',
  }),
  ocr: z.enum(['off', 'on']).default('off').register(about, {
    section: 'Model',
    description:
      'Reading the words in pictures, for models that read them too (`context` in the manifest of the bundle); with other models only `mner image` does. It costs a tenth to a whole second of one core for each new picture.',
    value: 'how',
  }),
  batch_tokens: z.int().min(256).max(65_536).nullable().default(null).register(about, {
    section: 'Model',
    description:
      'Tokens of one inference call, padding included. Higher suits accelerators; on a CPU more than about 1024 adds waiting but hardly any speed. `auto`: a worker measures at its start what suits bundle and machine, also the number of processes where `inference_processes` is `auto` (about three seconds; so also where only the tokens are set), and remembers it in `mner-stream/calibration.json` in the cache folder of its user; other commands, and a worker that starts with a canary or on a machine busier than it has cores, take what is remembered, or 1024.',
    value: 'n',
    unit: 'tokens',
    off: 'auto',
  }),
  batch_deadline_ms: z.int().min(0).max(10_000).default(20).register(about, {
    section: 'Model',
    description:
      'Longest time that a tweet waits for others to share its batch. Lower answers sooner; higher fills batches at low rates.',
    value: 'ms',
    unit: 'ms',
  }),
  replay_patience_ms: z.int().min(0).max(HOUR_MS).default(5000).register(about, {
    section: 'Model',
    description:
      'Time after which a tweet of `replay_topic` counts among the live ones that arrive then; before it, it takes what they leave. Lower moves a replay under full load; higher keeps live tweets quicker.',
    value: 'ms',
    unit: 'ms',
  }),
  repeat_cache_bytes: z
    .int()
    .min(0)
    .max(4096 * MiB)
    .default(16 * MiB)
    .register(about, {
      section: 'Model',
      description:
        'Memory for what the model said, so that a text that comes again with the same picture (retweets, copies, bots) is not read again; the same in flight is read once. About 700 bytes each. 0 turns both off.',
      value: 'bytes',
      unit: 'bytes',
    }),
};
