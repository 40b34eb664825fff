import { MnerError } from '../../errors.js';

/** Where Redis is, and who we are there. */
export interface RedisAddress {
  readonly tls: boolean;
  readonly username: string | null;
  readonly password: string | null;
  /** At least one. */
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly db: number;
}

const SHAPE = /^(rediss?):\/\/(?:([^/?#]*)@)?([^@/?#]*)(?:\/(\d*))?(?:[?#].*)?$/;

/**
 * `redis[s]://[[user]:password@]host[:port][,host[:port]…][/db]`: as everywhere, but with several hosts, which Sentinel
 * and Cluster start from.
 *
 * @param defaultPort where a host names none
 * @throws MnerError `bad_config`, without the password
 */
export function parseRedisUrl(url: string, defaultPort = 6379): RedisAddress {
  const [, scheme, user = '', places = '', db = ''] = SHAPE.exec(url) ?? [];
  const hosts = places.split(',').map((place) => hostOf(place, defaultPort));
  if (scheme === undefined || hosts.some((host) => host === null)) {
    throw new MnerError('bad_config', 'redis_url is none of the form redis://user:password@host:port,host:port/db.');
  }
  const colon = user.indexOf(':');
  return {
    tls: scheme === 'rediss',
    username: plain(colon < 0 ? user : user.slice(0, colon)),
    password: plain(colon < 0 ? '' : user.slice(colon + 1)),
    hosts: hosts.filter((host) => host !== null),
    db: Number(db),
  };
}

function hostOf(place: string, defaultPort: number): { host: string; port: number } | null {
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/.exec(place);
  const host = parts?.[1] ?? parts?.[2];
  return host === undefined ? null : { host, port: parts?.[3] ? Number(parts[3]) : defaultPort };
}

function plain(text: string): string | null {
  if (text === '') return null;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
