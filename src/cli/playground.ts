import { systemClock } from '../clock.js';
import { asMnerError } from '../errors.js';
import type { Extract } from '../web/extract.js';
import type { Stations } from '../worker.js';

/** One tweet through the stations of the stream, for the playground: the record that it would have been, without a topic. */
export function extractWith({ process }: Pick<Stations, 'process'>): Extract {
  let offset = 0n;
  return async (value, signal) => {
    const record = { topic: 'playground', partition: 0, offset: offset++, key: null, value, headers: [] };
    try {
      const outcome = await process({ ...record, timestamp: systemClock.wall() }, signal);
      if (outcome.kind !== 'output') return refusal(outcome.error);
      return { ok: true, record: JSON.parse(String(outcome.value)) as object };
    } catch (error) {
      return refusal(error);
    }
  };
}

function refusal(error: unknown): { ok: false; code: ReturnType<typeof asMnerError>['code']; message: string } {
  const { code, message } = asMnerError(error);
  return { ok: false, code, message };
}
