import { z } from 'zod';
import { about } from '../about.js';

/** The HTTP server of a worker. */
export const httpFields = {
  http_host: z
    .string()
    .regex(/^[A-Za-z0-9._:-]+$/)
    .default('127.0.0.1')
    .register(about, {
      section: 'HTTP',
      description:
        'Address that the HTTP server binds to. `0.0.0.0` opens it to the network: needed in a container, and there is no login.',
      value: 'address',
      allowed: 'an address or a host name, without a port',
    }),
  http_port: z.int().min(0).max(65_535).default(8080).register(about, {
    section: 'HTTP',
    description: 'Port of the HTTP server; 0 takes any free one.',
    value: 'port',
  }),
  playground: z.boolean().default(false).register(about, {
    section: 'HTTP',
    description: 'Serves the playground page and `POST /v1/extract`, which share the model with the stream.',
    value: 'boolean',
  }),
};
