import { createPublicKey, generateKeyPairSync, type JsonWebKey, sign } from 'node:crypto';

/** Signs tokens (JWT, RS256) as an authorisation server does. */
export interface TokenSigner {
  /** The JSON Web Key Set that proves them. */
  readonly jwks: { readonly keys: readonly JsonWebKey[] };
  /** @param seconds its life from now on; a negative one has ended */
  token(claims: Readonly<Record<string, unknown>>, seconds: number): string;
}

export function tokenSigner(): TokenSigner {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = createPublicKey(privateKey).export({ format: 'jwk' });
  const part = (content: object) => Buffer.from(JSON.stringify(content)).toString('base64url');
  return {
    jwks: { keys: [{ ...key, kid: 'test', use: 'sig', alg: 'RS256' }] },
    token(claims, seconds) {
      const now = Math.floor(Date.now() / 1000);
      const head = part({ alg: 'RS256', typ: 'JWT', kid: 'test' });
      const body = part({ iat: now - 3600, exp: now + seconds, ...claims });
      return `${head}.${body}.${sign('RSA-SHA256', Buffer.from(`${head}.${body}`), privateKey).toString('base64url')}`;
    },
  };
}
