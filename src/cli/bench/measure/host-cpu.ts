import { fromSamples, type Measured, type Skipped } from '../figure.js';
import type { Lab } from '../lab.js';
import { saturated } from '../saturated.js';

/**
 * `host_cpu_share`: all that the worker's own process does, which is the words, the CRF, the JSON and Kafka, and with them the
 * packing of batches and the telemetry ÷ that and its child processes.
 */
export async function hostCpu(lab: Lab): Promise<Measured | Skipped> {
  const { hostCpuShare } = await saturated(lab);
  return hostCpuShare ? fromSamples(hostCpuShare) : { skipped: 'CPU time by process is read from /proc (Linux)' };
}
