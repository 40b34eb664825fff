import type { LookupFunction } from 'node:net';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';
import ipaddr from 'ipaddr.js';
import { MnerError } from '../../errors.js';
import { createResolve, type Resolve } from './resolve.js';

/**
 * Where a picture named by a stranger may be fetched from. Two questions are asked: may this URL be asked for at all
 * (before anything is dialled), and may this address be dialled (at connect time, on every dial, so that a name which
 * answers differently the second time gains nothing).
 */
export interface AddressPolicy {
  /**
   * Why the URL may not be fetched, in words without the URL's query; null when it may. Nothing is resolved.
   * @param from the URL that redirects here
   */
  refuseUrl(url: URL, from?: URL): string | null;
  /** Why the address may not be dialled; null when it may. Everything that is no IP address is refused. */
  refuseAddress(address: string): string | null;
  /** Whether the allow-list names this origin by `host:port`, so that its address is not checked. */
  allowsOrigin(hostname: string, port: number): boolean;
  /** A `lookup` for `net.connect` that fails with {@link AddressRefused} unless every answer may be dialled. */
  readonly lookup: LookupFunction;
}

export interface AddressPolicyOptions {
  /**
   * Private origins that may be fetched. `host:port` lifts the address and the port rule for that origin; a CIDR lifts
   * the address rule only.
   * @default []
   */
  readonly allow?: readonly string[];
  /** Resolves a name to all its addresses. @default one that asks the name servers itself */
  readonly resolve?: Resolve;
  /** The addresses of this machine, which are refused too. @default those of its network interfaces */
  readonly own?: () => readonly string[];
}

/** The address behind a URL may not be dialled. */
export class AddressRefused extends Error {
  readonly code = 'ADDRESS_REFUSED';
}

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Unicast by its range, and yet no place for pictures: the control plane of a cloud that answers only from inside. */
const PLATFORM = ipaddr.IPv4.parse('168.63.129.16');
const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
const MAX_URL_LENGTH = 4096;

/** @throws MnerError `bad_config` when an entry of the allow-list is neither `host:port` nor a CIDR */
export function addressPolicy(options: AddressPolicyOptions = {}): AddressPolicy {
  const { origins, networks } = parseAllow(options.allow ?? []);
  const resolve = options.resolve ?? createResolve();
  const own = options.own ?? ownAddresses;

  function refuseAddress(text: string): string | null {
    if (isIP(text) === 0) return 'the host has no IP address';
    const address = ipaddr.parse(text);
    if (inNetworks(address, networks)) return null;
    if (own().some((mine) => same(mine, text))) return 'the address is one of this machine';
    for (const inner of unwrap(address)) {
      if (inNetworks(inner, networks)) continue;
      const range = rangeOf(inner);
      if (range !== 'unicast') return `the address is not a public one (${range})`;
      if (own().some((mine) => same(mine, inner.toString()))) return 'the address is one of this machine';
    }
    return null;
  }

  function allowsOrigin(hostname: string, port: number): boolean {
    return origins.has(`${bare(hostname)}:${port}`);
  }

  return {
    refuseAddress,
    allowsOrigin,
    refuseUrl(url, from) {
      if (from?.protocol === 'https:' && url.protocol === 'http:') return 'a redirect leads from https to http';
      if (url.protocol !== 'http:' && url.protocol !== 'https:') return `the scheme ${url.protocol} is not fetched`;
      if (url.href.length > MAX_URL_LENGTH) return 'the URL is too long';
      if (url.username !== '' || url.password !== '') return 'the URL holds a user or a password';
      const port = portOf(url);
      if (allowsOrigin(url.hostname, port)) return null;
      if (port !== 80 && port !== 443) return `port ${port} is not fetched`;
      const host = bare(url.hostname);
      // A literal never reaches `lookup`, so it is checked here, and once more on the dial.
      return isIP(host) === 0 ? null : refuseAddress(host);
    },
    lookup(hostname, { all }, callback) {
      resolve(hostname, (error, answers) => {
        if (error) return callback(error, '', 0);
        const first = answers[0];
        if (!first) return callback(new AddressRefused('the host has no IP address'), '', 0);
        // All of them: the socket may try any, and a mixed answer is an attack, not a choice.
        for (const { address } of answers) {
          const reason = refuseAddress(address);
          if (reason !== null) return callback(new AddressRefused(reason), '', 0);
        }
        if (all) callback(null, [...answers]);
        else callback(null, first.address, first.family);
      });
    },
  };
}

/** The port that a URL means, also where it says none. */
export function portOf(url: URL): number {
  if (url.port !== '') return Number(url.port);
  return url.protocol === 'https:' ? 443 : 80;
}

/** A URL's host name without the brackets of an IPv6 literal. */
export function bare(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname.toLowerCase();
}

/** The IPv4 addresses that hide in an IPv6 one; the address itself where none does. */
function unwrap(address: Address): readonly Address[] {
  if (address.kind() === 'ipv4') return [address];
  const six = address as ipaddr.IPv6;
  const part = six.parts;
  const low = (index: number) => four(part[index] ?? 0, part[index + 1] ?? 0);
  if (part.slice(0, 5).every((zero) => zero === 0) && part[5] === 0xffff) return [low(6)]; // mapped
  if (part.slice(0, 4).every((zero) => zero === 0) && part[4] === 0xffff && part[5] === 0) return [low(6)]; // RFC 6145
  if (six.match(NAT64)) return [low(6)];
  if (part[0] === 0x2002) return [low(1)]; // 6to4
  // Teredo: its server, and its client with every bit turned.
  if (part[0] === 0x2001 && part[1] === 0) return [low(2), four(0xffff ^ (part[6] ?? 0), 0xffff ^ (part[7] ?? 0))];
  // ISATAP hides one below any prefix, so that the prefix counts as well.
  if ((part[4] === 0 || part[4] === 0x200) && part[5] === 0x5efe) return [six, low(6)];
  return [six];
}

function four(high: number, low: number): ipaddr.IPv4 {
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
}

function rangeOf(address: Address): string {
  if (address.kind() === 'ipv4') return address.match([PLATFORM, 32]) ? 'platform' : address.range();
  // ipaddr.js calls "unicast" whatever no table names, `::127.0.0.1` for one; only 2000::/3 is given out to hosts.
  return address.match(GLOBAL_UNICAST) ? address.range() : 'not routed';
}

function inNetworks(address: Address, networks: readonly [Address, number][]): boolean {
  return networks.some(([network, bits]) => network.kind() === address.kind() && address.match([network, bits]));
}

function same(one: string, other: string): boolean {
  return one === other || (ipaddr.isValid(one) && ipaddr.parse(one).toString() === ipaddr.parse(other).toString());
}

function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}

function parseAllow(entries: readonly string[]): { origins: Set<string>; networks: [Address, number][] } {
  const origins = new Set<string>();
  const networks: [Address, number][] = [];
  for (const entry of entries) {
    if (entry.includes('/') && ipaddr.isValidCIDR(entry)) {
      networks.push(ipaddr.parseCIDR(entry));
      continue;
    }
    const [, host, port] = /^([^/@?#\s]+):(\d{1,5})$/.exec(entry) ?? [];
    const url = host === undefined || !URL.canParse(`http://${host}/`) ? null : new URL(`http://${host}/`);
    if (url === null || url.port !== '' || Number(port) < 1 || Number(port) > 65_535) {
      throw new MnerError(
        'bad_config',
        `MNER_IMAGE_ALLOW: "${entry}" is neither host:port nor a CIDR such as 10.0.0.0/8.`,
      );
    }
    origins.add(`${bare(url.hostname)}:${Number(port)}`);
  }
  return { origins, networks };
}
