/** The settings that a sentence about TLS names. */
export interface TlsSettings {
  /** What turns TLS on: `kafka_ssl`. */
  readonly on: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** What says which hosts to ask. */
  readonly hosts: string;
}

/**
 * Why a TLS handshake failed and, behind a semicolon, what to do, in words that follow "Kafka at …: "; undefined when the error
 * is none of a handshake. Node has codes for what we refuse, and OpenSSL's alerts for what the server refuses.
 */
export function handshakeReason(code: unknown, message: string, settings: TlsSettings): string | undefined {
  if (typeof code !== 'string') return undefined;
  if (UNTRUSTED.has(code))
    return `its certificate is signed by an authority that is not trusted here; name that one in \`${settings.ca}\``;
  if (code === 'CERT_HAS_EXPIRED')
    return 'its certificate has expired; renew it, or set the clock of this machine right';
  if (code === 'CERT_NOT_YET_VALID') return 'its certificate is not valid yet; set the clock of this machine right';
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    // "IP: 127.0.0.1 is not in the cert's list: " and "Host: kafka-1. is not in the cert's altnames: DNS:kafka".
    const names = message
      .split('altnames: ')
      .slice(1)
      .join('altnames: ')
      .replace(/:?\s*$/, '');
    return `its certificate is for another host (${names}); use a name that it is for in ${settings.hosts}`;
  }
  const alert = /^ERR_SSL_.*?ALERT_(.+)$/.exec(code)?.[1];
  if (alert !== undefined) return alertReason(alert, settings);
  if (NOT_TLS.has(code) || message.includes('before secure TLS connection'))
    return `it does not speak TLS here; \`${settings.on}\` must be off, or the port another`;
  return code.startsWith('ERR_SSL_') ? `the TLS handshake fails (${code}); ${CHECK}` : undefined;
}

const CHECK = 'check the certificates on both sides, their names and dates, and the versions of TLS';

/** What the server ends a handshake with. */
function alertReason(alert: string, { cert, key }: TlsSettings): string {
  switch (alert) {
    // Java answers a missing certificate with the first, others with one of the rest.
    case 'BAD_CERTIFICATE':
    case 'CERTIFICATE_REQUIRED':
    case 'HANDSHAKE_FAILURE':
      return `it asks for a client certificate that it trusts; set \`${cert}\` and \`${key}\``;
    case 'CERTIFICATE_UNKNOWN':
    case 'UNKNOWN_CA':
      return `it does not trust the client certificate in \`${cert}\`; use one that it does`;
    case 'CERTIFICATE_EXPIRED':
      return `it says that the client certificate in \`${cert}\` has expired; renew it`;
    case 'CERTIFICATE_REVOKED':
      return `it says that the client certificate in \`${cert}\` has been revoked; use another`;
    default:
      return `it ends the TLS handshake (${alert.toLowerCase()}); ${CHECK}`;
  }
}

const UNTRUSTED: ReadonlySet<string> = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
]);

const NOT_TLS: ReadonlySet<string> = new Set(['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);
