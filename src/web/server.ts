import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Clock, systemClock } from '../clock.js';
import { MnerError } from '../errors.js';
import type { Emit } from '../telemetry/events.js';
import { createExtractEndpoint, type Extract } from './extract.js';
import { refusal } from './guard.js';
import { sendPlayground } from './playground.js';
import { type Reload, reloadEndpoint } from './reload.js';
import { send, sendError, sendJson } from './reply.js';
import { createScrapes } from './scrapes.js';

export interface Verdict {
  readonly ok: boolean;
  /** What is missing, in words. */
  readonly reasons: readonly string[];
}

export interface WebOptions {
  /** Address to bind to. On loopback only requests that name this machine in `Host` are answered. @default '127.0.0.1' */
  readonly host?: string;
  /** Port; 0 takes any free one. */
  readonly port: number;
  readonly metrics: { readonly contentType: string; render(): Promise<string> };
  readonly health: { live(): Verdict; ready(): Verdict };
  /** What `/info` shows; secrets must be hidden already. */
  readonly info: () => object;
  /** Serves the playground and `POST /v1/extract` with it. @default neither is there */
  readonly extract?: Extract;
  /** Answers `POST /v1/reload`, from this machine alone. @default it is not there */
  readonly reload?: Reload;
  /** Milliseconds for one extraction. @default 30000 */
  readonly extractTimeoutMs?: number;
  readonly clock?: Clock;
  readonly emit: Emit;
}

export interface WebServer {
  /** Binds; resolves with the actual port. @throws MnerError `port_in_use`, `bad_config` */
  start(): Promise<number>;
  /** Ends every connection at once. Safe to call twice, and before `start`. */
  stop(): Promise<void>;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void | Promise<void>;

/** The one HTTP server of a worker: metrics, health, information and, when asked for, the playground. */
export function createWebServer(options: WebOptions): WebServer {
  const host = options.host ?? '127.0.0.1';
  const clock = options.clock ?? systemClock;
  const endpoint = options.extract && createExtractEndpoint(options.extract, options.extractTimeoutMs ?? 30_000, clock);
  const routes = new Map<string, { readonly methods: readonly string[]; readonly handle: Handler }>();
  const get = (path: string, handle: Handler) => routes.set(path, { methods: ['GET', 'HEAD'], handle });
  const scraped = createScrapes(() => options.metrics.render(), clock);
  get('/metrics', async (_request, response) => {
    send(response, 200, options.metrics.contentType, await scraped());
  });
  get('/livez', (_request, response) => sendVerdict(response, options.health.live()));
  get('/readyz', (_request, response) => sendVerdict(response, options.health.ready()));
  get('/info', (_request, response) => sendJson(response, 200, options.info()));
  if (endpoint) {
    get('/', (_request, response) => sendPlayground(response));
    routes.set('/v1/extract', { methods: ['POST'], handle: endpoint.handle });
  }

  if (options.reload) routes.set('/v1/reload', { methods: ['POST'], handle: reloadEndpoint(options.reload) });

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const refused = refusal(request, host);
    if (refused) return sendError(response, refused);
    const route = routes.get((request.url ?? '').replace(/\?.*$/s, ''));
    if (!route) return sendError(response, 'not_found');
    if (!route.methods.includes(request.method ?? '')) {
      response.setHeader('allow', route.methods.join(', '));
      return sendError(response, 'method_not_allowed');
    }
    try {
      await route.handle(request, response);
    } catch (error) {
      const message = 'An HTTP request failed.';
      options.emit({ type: 'note', level: 'error', message, detail: { path: request.url ?? '', error } });
      sendError(response, 'internal');
    }
  }

  let server: Server | undefined;
  let listening: Promise<number> | undefined;
  return {
    start() {
      if (listening) return listening;
      // Limits for clients that send slowly, much or nothing: nobody may hold a connection for long.
      server = createServer({ maxHeaderSize: 16_384, headersTimeout: 10_000, requestTimeout: 30_000 }, answer);
      server.keepAliveTimeout = 5_000;
      server.timeout = 60_000;
      server.maxConnections = 512;
      const binding = listen(server, host, options.port);
      listening = binding;
      // A port that was taken may be free at the next try.
      binding.catch(() => {
        if (listening === binding) [server, listening] = [undefined, undefined];
      });
      return binding;
    },
    async stop() {
      const [old, bound] = [server, listening];
      server = undefined;
      listening = undefined;
      if (!old) return;
      endpoint?.abort();
      // A server that is still binding cannot be closed yet.
      await bound?.catch(() => undefined);
      await new Promise<void>((resolve) => {
        old.close(() => resolve());
        old.closeAllConnections();
      });
    },
  };
}

function sendVerdict(response: ServerResponse, verdict: Verdict): void {
  sendJson(response, verdict.ok ? 200 : 503, { ok: verdict.ok, reasons: verdict.reasons });
}

function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.on('error', (error: NodeJS.ErrnoException) => reject(bindingError(error, host, port)));
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function bindingError(error: NodeJS.ErrnoException, host: string, port: number): MnerError {
  const where = `${host} port ${port}`;
  if (error.code === 'EADDRINUSE') {
    const message = `The HTTP port ${port} on ${host} is taken; choose another with MNER_HTTP_PORT (0 takes any free one).`;
    return new MnerError('port_in_use', message, { cause: error });
  }
  if (error.code === 'EACCES') {
    const message = `http_port ${port} needs rights that this process does not have; ports from 1024 on do not.`;
    return new MnerError('bad_config', message, { cause: error });
  }
  const message = `The HTTP server cannot bind to ${where} (${error.code}); http_host must be an address of this machine.`;
  return new MnerError('bad_config', message, { cause: error });
}
