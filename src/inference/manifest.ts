import { z } from 'zod';

const tensor = z.object({
  type: z.enum(['float32', 'float16', 'int64', 'uint8']),
  shape: z.array(z.union([z.number().int().positive(), z.string()])),
});
const signature = z.record(z.string(), tensor);

const common = {
  schema: z.literal('mner-bundle/1'),
  name: z.string().min(1),
  version: z.string().min(1),
  precision: z.enum(['int8', 'fp16', 'fp32']),
  // A plain file name: a manifest names nothing outside its own folder.
  files: z.record(
    z.string().regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]*$/),
    z.object({ sha256: z.string().regex(/^[0-9a-f]{64}$/), bytes: z.number().int().nonnegative() }),
  ),
  inputs: signature,
  outputs: signature,
  training: z.record(z.string(), z.unknown()).optional(),
  scores: z.record(z.string(), z.unknown()).optional(),
  licence: z.string(),
  credit: z.string(),
};

const head = z.object({
  index: z.number().int().nonnegative(),
  transitions: z.array(z.array(z.number())),
  start: z.array(z.number()),
  end: z.array(z.number()),
  temperature: z.number().positive(),
});

const text = z.object({
  max_pieces: z.number().int().min(16),
  pieces_per_word: z.number().int().positive(),
  pieces_per_mention: z.number().int().positive(),
  chars_per_word: z.number().int().positive(),
  alphabet: z.string(),
  flags: z.literal(26),
});

const ner = z
  .object({
    ...common,
    kind: z.literal('ner'),
    family: z.enum(['ham', 'ita', 'mcg', 'bga']),
    vision: z.object({ family: z.string(), version: z.string() }),
    text,
    context: z.array(z.enum(['alt_text', 'tags', 'words'])).optional(),
    labels: z.array(z.string()).min(1),
    heads: z.object({ ignore: head, entity: head }),
  })
  .superRefine((manifest, context) => {
    const labels = manifest.labels.length;
    const heads = manifest.outputs.emissions?.shape.at(-2);
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    if (manifest.outputs.emissions?.shape.at(-1) !== labels) {
      refuse(['outputs', 'emissions'], `its last dimension is not the number of labels (${labels})`);
    }
    for (const [name, { index, start, end, transitions }] of Object.entries(manifest.heads)) {
      if (typeof heads === 'number' && index >= heads) refuse(['heads', name, 'index'], `the graph has ${heads} heads`);
      if (start.length !== labels) refuse(['heads', name, 'start'], `does not have ${labels} values`);
      if (end.length !== labels) refuse(['heads', name, 'end'], `does not have ${labels} values`);
      if (transitions.length !== labels || transitions.some((row) => row.length !== labels)) {
        refuse(['heads', name, 'transitions'], `is not ${labels} by ${labels}`);
      }
    }
    for (const label of manifest.labels) {
      if (!/^(?:O|[BI]-.+)$/.test(label)) refuse(['labels'], `${label} is neither O, nor B- or I- and a type`);
    }
    if (!manifest.files['tokenizer.json']) refuse(['files'], 'tokenizer.json is missing');
  });

const vision = z.object({ ...common, kind: z.literal('vision'), family: z.literal('vision') });
const bridge = z.object({ ...common, kind: z.literal('bridge'), family: z.string() });

/** What stands in a bundle's `manifest.json` (docs/bundles.md). Fields that are not known here are left alone. */
export const manifestSchema = z.discriminatedUnion('kind', [ner, vision, bridge]);

export type Manifest = z.infer<typeof manifestSchema>;
export type NerManifest = z.infer<typeof ner>;
export type VisionManifest = z.infer<typeof vision>;
/** Names, types and shapes of a graph's inputs or outputs; a string in a shape is a dynamic dimension. */
export type Signature = Readonly<
  Record<string, { readonly type: string; readonly shape: readonly (number | string)[] }>
>;
