import { MnerError } from '../errors.js';

/** A flag's value as a number. @throws MnerError `bad_input` */
export function numberOption(flag: string, value: string, least: number, most: number): number {
  const number = Number(value);
  if (value.trim() === '' || !Number.isFinite(number) || number < least || number > most) {
    throw new MnerError('bad_input', `${flag} takes a number from ${least} to ${most}, not ${JSON.stringify(value)}.`);
  }
  return number;
}
