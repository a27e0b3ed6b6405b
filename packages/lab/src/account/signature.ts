import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** A Signature Version 4 header, taken apart. */
export interface SignedHeader {
  accessKeyId: string;
  /** YYYYMMDD */
  date: string;
  region: string;
  service: string;
  signedHeaders: string[];
  signature: string;
}

/** The parts of a request that a signature covers. Header names are in lower case. */
export interface SignedRequest {
  method: string;
  path: string;
  headers: Record<string, string | undefined>;
  body: string;
}

/** Reads `AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…`; undefined when it is something else. */
export function parseAuthorization(header: string | undefined): SignedHeader | undefined {
  const [, credential, headers, signature] =
    /^AWS4-HMAC-SHA256 Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      header ?? '',
    ) ?? [];
  const [accessKeyId, date, region, service, end] = credential?.split('/') ?? [];
  if (!accessKeyId || !date || !region || !service || end !== 'aws4_request') return undefined;
  return { accessKeyId, date, region, service, signedHeaders: headers!.split(';'), signature: signature! };
}

/** The signature that the secret gives for this request. */
export function signatureOf(
  secret: string,
  header: Omit<SignedHeader, 'signature'>,
  request: SignedRequest,
): string {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  const [path, query = ''] = request.path.split('?') as [string, string?];
  const canonical = [
    request.method,
    path,
    query
      .split('&')
      .filter((part) => part !== '')
      .sort()
      .join('&'),
    ...header.signedHeaders.map(
      (name) => `${name}:${(request.headers[name] ?? '').trim().replace(/ +/g, ' ')}`,
    ),
    '',
    header.signedHeaders.join(';'),
    sha256(request.body),
  ].join('\n');
  const scope = `${header.date}/${header.region}/${header.service}/aws4_request`;
  const toSign = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'] ?? '', scope, sha256(canonical)].join(
    '\n',
  );
  const key = [header.date, header.region, header.service, 'aws4_request'].reduce<string | Buffer>(
    (previous, part) => hmac(previous, part),
    `AWS4${secret}`,
  );
  return hmac(key, toSign).toString('hex');
}

/** Whether the signature in the header is the one that the secret gives. */
export function isSignedBy(secret: string, header: SignedHeader, request: SignedRequest): boolean {
  return timingSafeEqual(Buffer.from(signatureOf(secret, header, request)), Buffer.from(header.signature));
}

/** Reads an x-amz-date (20261121T031200Z) into epoch ms; NaN when it is none. */
export function parseAmzDate(text: string | undefined): number {
  const [, y, mo, d, h, mi, s] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text ?? '') ?? [];
  return y === undefined ? Number.NaN : Date.parse(`${y}-${mo}-${d}T${h}:${mi}:${s}Z`);
}
