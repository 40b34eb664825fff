import { expect, it } from 'vitest';
import { MnerError } from '#mner/errors.js';
import { createReloader, type Replaceable } from '#mner/serving/reload.js';
import { createRoster } from '#mner/serving/roster.js';
import type { Event } from '#mner/telemetry/events.js';

/** A model that says when it was stopped, and may fail at it. */
function modelOf(version: string, stop: () => Promise<void> = async () => {}): Replaceable {
  return { identity: version, model: () => ({ bundle: 'ham', version }), stop };
}

const stuck = () => Promise.reject(new MnerError('internal', 'It does not end.'));

function setUp(stable: Replaceable, canary: Replaceable | null = null) {
  const events: Event[] = [];
  const roster = createRoster(stable, canary, 0.5);
  const next: Record<'stable' | 'canary', () => Promise<Replaceable>> = {
    stable: async () => modelOf('2'),
    canary: async () => modelOf('2'),
  };
  const reloader = createReloader({
    roster,
    load: async (role) => ({ identity: 'another', open: next[role] }),
    tookOver: () => {},
    emit: (event) => events.push(event),
  });
  const errors = () =>
    events.flatMap((event) => (event.type === 'note' && event.level === 'error' ? [event.message] : []));
  return { roster, reloader, next, errors };
}

it('a replaced model that does not end took the worker with it: it is said, and the new one reads', async () => {
  const { roster, reloader, errors } = setUp(modelOf('1', stuck));
  expect(await reloader.reload()).toEqual({ ok: true, bundles: ['ham@2'] });
  await reloader.stop();
  expect(errors()).toEqual(['A model that is not used any more could not be stopped.']);
  expect(roster.stable.identity).toBe('2');
});

it('a reload never throws, also where a model that was opened in vain does not end', async () => {
  const { roster, reloader, next, errors } = setUp(modelOf('1'), modelOf('1'));
  next.stable = async () => modelOf('2', stuck);
  next.canary = () => Promise.reject(new MnerError('bad_bundle', 'It is of another kind.'));
  expect(await reloader.reload()).toMatchObject({ ok: false, error: { code: 'bad_bundle' } });
  expect(errors()).toHaveLength(2);
  expect(roster.stable.identity).toBe('1');
});

it('what is replaced stays until its last tweet has ended', async () => {
  let stopped = false;
  const { roster, reloader } = setUp(
    modelOf('1', async () => {
      stopped = true;
    }),
  );
  const { model, end } = roster.lease('a tweet');
  await reloader.reload();
  expect(model.identity).toBe('1');
  expect(roster.lease('the next').model.identity).toBe('2');
  await new Promise((resolve) => setImmediate(resolve));
  expect(stopped).toBe(false);
  end();
  await new Promise((resolve) => setImmediate(resolve));
  expect(stopped).toBe(true);
});
