import type { Program } from './program.js';

/** The value of a series in a program's `/metrics`; null where it has none. @param series name, and labels as they stand there */
export async function readMetric({ url }: Program, series: string): Promise<number | null> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? null : Number(line.slice(series.length + 1));
}
