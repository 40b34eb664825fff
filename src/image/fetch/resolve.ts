import { Resolver } from 'node:dns';
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { type Clock, systemClock } from '../../clock.js';

/** Resolves a name to all its addresses. */
export type Resolve = (hostname: string, callback: Resolved) => void;
type Resolved = (error: Error | null, answers: readonly Answer[]) => void;

interface Answer {
  readonly address: string;
  readonly family: number;
}

export interface ResolverOptions {
  /** Milliseconds until a server that is silent is asked again; the second try waits twice as long. @default 1200 */
  readonly timeoutMs?: number;
  /** @default 2 */
  readonly tries?: number;
  /** Name servers as `address:port`. @default those of /etc/resolv.conf */
  readonly servers?: readonly string[];
  /** Read once, when the resolver is made. @default '/etc/hosts' */
  readonly hostsFile?: string;
  /** @default systemClock */
  readonly clock?: Clock;
}

/** Milliseconds that addresses of one family wait for those of the other. */
const OTHER_FAMILY_MS = 100;

/**
 * Resolves by asking the name servers on sockets of our own, never by the system's resolver: that one blocks a thread of
 * libuv for as long as a name server is silent, and a stranger who names hosts of such a server could take all the threads
 * that Kafka's and Redis's own names need. The file of hosts is honoured; search domains are not, so that a tweet's
 * `http://redis/` is no service of our own network.
 */
export function createResolve(options: ResolverOptions = {}): Resolve {
  const clock = options.clock ?? systemClock;
  const resolver = new Resolver({ timeout: options.timeoutMs ?? 1_200, tries: options.tries ?? 2 });
  if (options.servers) resolver.setServers(options.servers);
  const hosts = readHosts(options.hostsFile ?? '/etc/hosts');

  return (hostname, callback) => {
    const name = hostname.toLowerCase().replace(/\.$/, '');
    const known = hosts.get(name) ?? (/(^|\.)localhost$/.test(name) ? [answer('127.0.0.1'), answer('::1')] : undefined);
    if (known) return callback(null, known);

    const found: Answer[] = [];
    let failed: Error | null = null;
    let open = 2;
    const settle = () => {
      open = -1;
      // IPv4 first: many a container has no way to IPv6.
      found.sort((one, other) => one.family - other.family);
      callback(found.length > 0 ? null : failed, found);
    };
    const heard = (error: Error | null, addresses: readonly string[] | undefined) => {
      if (open < 0) return;
      open -= 1;
      if (error) failed = failed === null || isEmpty(failed) ? error : failed;
      else found.push(...(addresses ?? []).map(answer));
      if (open === 0) settle();
      else if (found.length > 0) clock.after(OTHER_FAMILY_MS, () => open === 1 && settle());
    };
    resolver.resolve4(name, heard);
    resolver.resolve6(name, heard);
  };
}

function answer(address: string): Answer {
  return { address, family: isIP(address) };
}

/** "No such record" says less than a failure does, when each comes from one family. */
function isEmpty(error: Error): boolean {
  return 'code' in error && (error.code === 'ENODATA' || error.code === 'ENOTFOUND');
}

function readHosts(file: string): ReadonlyMap<string, readonly Answer[]> {
  const hosts = new Map<string, Answer[]>();
  for (const line of readText(file).split('\n')) {
    const [address, ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    if (address === undefined || isIP(address) === 0) continue;
    for (const name of names) {
      const key = name.toLowerCase();
      hosts.set(key, [...(hosts.get(key) ?? []), answer(address)]);
    }
  }
  return hosts;
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
