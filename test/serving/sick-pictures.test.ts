import { expect, it } from 'vitest';
import { createSickPictures } from '#mner/serving/sick-pictures.js';
import type { Event } from '#mner/telemetry/events.js';

const setUp = () => {
  const events: Event[] = [];
  const voiceOf = createSickPictures((event) => events.push(event));
  const told = () => events.flatMap((event) => (event.type === 'degraded' ? [event.on] : []));
  return { events, told, voiceOf };
};
const pictures = (on: boolean) => ({ type: 'degraded', reason: 'pictures', on }) as const;

it('pictures that the replaced model could not read were degraded for ever: its end takes that back', () => {
  const { told, voiceOf } = setUp();
  const [old, next] = [voiceOf(), voiceOf()];
  old.emit(pictures(true));
  next.emit({ type: 'image', status: 'used' });
  old.end();
  old.end();
  expect(told()).toEqual([true, false]);
});

it('holds while one of several models says it, whoever ends or recovers', () => {
  const { told, voiceOf } = setUp();
  const [stable, canary] = [voiceOf(), voiceOf()];
  stable.emit(pictures(true));
  canary.emit(pictures(true));
  stable.emit(pictures(false));
  expect(told()).toEqual([true]);
  canary.end();
  expect(told()).toEqual([true, false]);
});

it('lets everything else through as it is', () => {
  const { events, voiceOf } = setUp();
  voiceOf().emit({ type: 'degraded', reason: 'cache', on: true });
  voiceOf().emit({ type: 'image', status: 'used' });
  expect(events).toEqual([
    { type: 'degraded', reason: 'cache', on: true },
    { type: 'image', status: 'used' },
  ]);
});
