import { z } from 'zod';
import { isOfPicture, isOfPieces, problemOfInput } from './input-table.js';

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
  chars_per_word: z.number().int().positive().optional(),
  alphabet: z.string().optional(),
  flags: z.literal(26).optional(),
});

/** Where text beside the tweet comes from, in the order in which it is read. */
export const CONTEXT_SOURCES = ['alt_text', 'objects', 'tags', 'words'] as const;
export type ContextSource = (typeof CONTEXT_SOURCES)[number];

const context = z.object({
  sources: z.array(z.enum(CONTEXT_SOURCES)).min(1),
  max_pieces: z.number().int().min(16).default(512),
  max_tags: z.number().int().positive().max(10).default(5),
  min_tag_score: z.number().min(0).max(1).default(0.1),
});

export const TOKENIZER_FILE = 'tokenizer.json';
/** A table of neighbours (docs/bundles.md). */
export const NEIGHBOURS_FILE = 'neighbours.bin';

const ner = z
  .object({
    ...common,
    kind: z.literal('ner'),
    family: z.string().regex(/^(?!vision$)[a-z][a-z0-9_-]*$/),
    vision: z.object({ family: z.string(), version: z.string() }).optional(),
    text,
    context: context.optional(),
    labels: z.array(z.string()).min(1),
    heads: z.object({ ignore: head, entity: head }),
  })
  .superRefine((manifest, context) => {
    const refuse = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    refuseInputs(manifest, refuse);
    refuseOutputs(manifest, refuse);
    if (seesPicture(manifest) && !manifest.vision) {
      refuse(['vision'], 'the bundle reads something of the picture, and does not say of which vision bundle');
    }
  });

type Refuse = (path: string[], message: string) => void;

function refuseInputs({ inputs, text, files, context }: Omit<NerManifest, 'kind'>, refuse: Refuse): void {
  for (const [name, input] of Object.entries(inputs)) {
    const problem = problemOfInput(name, input);
    if (problem !== null) refuse(['inputs', name], problem);
  }
  if ((context || Object.keys(inputs).some(isOfPieces)) && !files[TOKENIZER_FILE]) {
    refuse(['files'], `${TOKENIZER_FILE} is missing`);
  }
  const { chars } = inputs;
  if (chars && (text.alphabet === undefined || chars.shape.at(-1) !== text.chars_per_word)) {
    refuse(['text'], 'chars needs an alphabet, and chars_per_word as its last dimension has it');
  }
  if (inputs.flags && text.flags === undefined) refuse(['text', 'flags'], 'is missing, and flags is an input');
  if ((inputs.neighbours ?? inputs.neighbour_weights) && !files[NEIGHBOURS_FILE]) {
    refuse(['files'], `${NEIGHBOURS_FILE} is missing, and neighbours are an input`);
  }
}

function refuseOutputs({ inputs, outputs, labels, heads }: Omit<NerManifest, 'kind'>, refuse: Refuse): void {
  const count = labels.length;
  const graphHeads = outputs.emissions?.shape.at(-2);
  if (outputs.emissions?.shape.at(-1) !== count) {
    refuse(['outputs', 'emissions'], `its last dimension is not the number of labels (${count})`);
  }
  for (const [name, { index, start, end, transitions }] of Object.entries(heads)) {
    if (typeof graphHeads === 'number' && index >= graphHeads) {
      refuse(['heads', name, 'index'], `the graph has ${graphHeads} heads`);
    }
    if (start.length !== count) refuse(['heads', name, 'start'], `does not have ${count} values`);
    if (end.length !== count) refuse(['heads', name, 'end'], `does not have ${count} values`);
    if (transitions.length !== count || transitions.some((row) => row.length !== count)) {
      refuse(['heads', name, 'transitions'], `is not ${count} by ${count}`);
    }
  }
  for (const label of labels) {
    if (!/^(?:O|[BI]-.+)$/.test(label)) refuse(['labels'], `${label} is neither O, nor B- or I- and a type`);
  }
  const regions = outputs.regions?.shape.at(-1);
  const { cells, objects } = regionParts({ inputs });
  if (typeof regions === 'number' && regions !== cells + objects + 1) {
    refuse(
      ['outputs', 'regions'],
      `has ${regions} weights, not those of ${cells} cells, ${objects} objects and the scene`,
    );
  }
}

/** How many cells and objects a bundle's `regions` weigh, before the scene: as many as its inputs have. */
export function regionParts({ inputs }: { readonly inputs: Signature }): { cells: number; objects: number } {
  const size = (name: string) => Number(inputs[name]?.shape[1] ?? 0);
  return {
    cells: size('grid'),
    objects: Math.max(size('boxes'), size('object_classes'), size('object_scores')),
  };
}

/**
 * Whether a bundle reads anything of a tweet's picture, be it as text. A description by its author needs no picture.
 *
 * @param ocr whether the words in pictures are read @default true
 */
export function seesPicture({ inputs, context }: Pick<NerManifest, 'inputs' | 'context'>, ocr = true): boolean {
  const sources = context?.sources.filter((source) => source !== 'alt_text' && (ocr || source !== 'words')) ?? [];
  return sources.length > 0 || Object.keys(inputs).some(isOfPicture);
}

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
