import { z } from 'zod';
import { about } from '../about.js';

/** What a worker writes about itself. */
export const logsFields = {
  log_level: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info').register(about, {
    section: 'Logs',
    description: 'Least level that is written.',
    value: 'level',
  }),
  log_format: z.enum(['auto', 'json', 'pretty']).default('auto').register(about, {
    section: 'Logs',
    description: 'Form of the log lines on stderr; `auto` is `pretty` on a terminal and `json` elsewhere.',
    value: 'form',
  }),
};
