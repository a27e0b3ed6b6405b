import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

// X.509 v3 in DER, as far as a test server needs it (RFC 5280): Node reads certificates, but writes none.

const der = (tag: number, ...parts: Buffer[]): Buffer => {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
};
const sequence = (...parts: Buffer[]) => der(0x30, ...parts);
const integer = (bytes: Buffer) => der(0x02, bytes);
const bits = (bytes: Buffer) => der(0x03, Buffer.from([0]), bytes);
const octets = (bytes: Buffer) => der(0x04, bytes);
const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'));
/** GeneralizedTime, `20261121030000Z`. */
const time = (at: Date) =>
  der(0x18, Buffer.from(`${at.toISOString().replace(/[-:T]|\.\d+Z$/g, '')}Z`, 'ascii'));

const ecdsaWithSha256 = sequence(oid('2a8648ce3d040302'));
const named = (commonName: string) =>
  sequence(der(0x31, sequence(oid('550403'), der(0x0c, Buffer.from(commonName)))));
const extension = (id: string, value: Buffer) => sequence(oid(id), octets(value));
const alternativeName = (name: string) =>
  isIP(name) === 4
    ? der(0x87, Buffer.from(name.split('.').map(Number)))
    : der(0x82, Buffer.from(name, 'ascii'));

export interface Certificate {
  name: string;
  cert: string;
  key: string;
}

/**
 * A certificate for host names and IPv4 addresses, signed by `issuer`, else by itself; with no hosts, that of an
 * authority. Valid for an hour on both sides of now, unless it ended before.
 */
export function certificate({
  hosts = [],
  issuer,
  ends = new Date(Date.now() + 3_600_000),
}: {
  hosts?: string[];
  issuer?: Certificate;
  ends?: Date;
} = {}): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  // Positive, without a needless zero in front.
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)]);
  const name = `${hosts[0] ?? 'authority'} ${serial.toString('hex')}`;
  const signer: KeyObject = issuer ? createPrivateKey(issuer.key) : privateKey;
  const extensions =
    hosts.length > 0
      ? extension('551d11', sequence(...hosts.map(alternativeName)))
      : extension('551d13', sequence(der(0x01, Buffer.from([0xff]))));
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(serial),
    ecdsaWithSha256,
    named(issuer?.name ?? name),
    sequence(time(new Date(ends.getTime() - 7_200_000)), time(ends)),
    named(name),
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(extensions)),
  );
  const whole = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signer)));
  const lines = whole.toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return {
    name,
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
  };
}
