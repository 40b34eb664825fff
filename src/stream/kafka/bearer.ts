import type { AuthenticationProviderArgs, Authenticator } from 'kafkajs';
import { MnerError } from '../../errors.js';

const SEPARATOR = '\u0001';

/**
 * SASL OAUTHBEARER (RFC 7628). kafkajs has it too, but takes every answer for a yes: a broker that refuses a token says so in a
 * challenge that is to be acknowledged, and kafkajs, which does not read it, goes on over a connection that is dead.
 */
export function bearer(token: () => Promise<string>): (args: AuthenticationProviderArgs) => Authenticator {
  return ({ host, port, saslAuthenticate }) => ({
    async authenticate() {
      const message = Buffer.from(`n,,${SEPARATOR}auth=Bearer ${await token()}${SEPARATOR}${SEPARATOR}`);
      const refusal = await saslAuthenticate({
        request: { encode: () => sized(message) },
        response: { decode: (answer: Buffer) => answer.subarray(4), parse: statusOf },
      });
      if (refusal === undefined) return;
      throw new MnerError('authentication_failed', `Kafka at ${host}:${port} refuses the token (${refusal}).`, {
        remedy: 'See that it is in force and meant for this broker.',
      });
    },
  });
}

/** As the protocol has bytes: behind their number. */
function sized(bytes: Buffer): Buffer {
  const size = Buffer.alloc(4);
  size.writeInt32BE(bytes.length);
  return Buffer.concat([size, bytes]);
}

/** A yes is empty; a no is `{"status":"invalid_token",…}`. */
function statusOf(answer: Buffer): string | undefined {
  if (answer.length === 0) return undefined;
  const [, status] = /"status"\s*:\s*"([a-z_]{1,40})"/.exec(answer.toString()) ?? [];
  return status ?? 'without a reason';
}
