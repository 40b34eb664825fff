import { describe, expect, it } from 'vitest';
import { scoreChunks } from '#mner/ner/score.js';
import { chunksOf } from '#mner/ner/spans.js';

const chunks = (lenient: boolean, ...tweets: string[]) => tweets.map((labels) => chunksOf(labels.split(' '), lenient));

describe('scoreChunks', () => {
  it('counts exact matches of type and both ends', () => {
    const gold = chunks(true, 'B-PER I-PER O B-LOC', 'B-ORG O');
    const told = chunks(true, 'B-PER O O B-LOC', 'B-MISC O');
    expect(scoreChunks(gold, told)).toEqual({
      micro: { precision: 33.33, recall: 33.33, f1: 33.33, support: 3 },
      by_type: {
        PER: { precision: 0, recall: 0, f1: 0, support: 1 },
        LOC: { precision: 100, recall: 100, f1: 100, support: 1 },
        ORG: { precision: 0, recall: 0, f1: 0, support: 1 },
        MISC: { precision: 0, recall: 0, f1: 0, support: 0 },
      },
    });
  });

  it('lenient counts a chunk that begins with I, strict does not', () => {
    const [gold, told] = ['I-PER I-PER O B-LOC', 'B-PER I-PER O B-LOC'];
    expect(scoreChunks(chunks(true, gold), chunks(true, told)).micro).toMatchObject({ f1: 100, support: 2 });
    expect(scoreChunks(chunks(false, gold), chunks(false, told)).micro).toMatchObject({ f1: 66.67, support: 1 });
  });

  it('scores nothing as nothing', () => {
    expect(scoreChunks([[]], [[]]).micro).toEqual({ precision: 0, recall: 0, f1: 0, support: 0 });
  });
});
