import { createServer } from 'node:https';
import {
  type AddressInfo,
  createServer as createTcpServer,
  connect as netConnect,
  type Socket,
} from 'node:net';
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls';
import { afterEach, describe, expect, it } from '@jest/globals';
import { systemClock } from '@lockkeeper/wait';
import { type ProbeTarget, probe } from '../src/index.ts';
import { type Certificate, certificate } from './certificate.ts';

const authority = certificate();
const stranger = certificate();
const trusting = { verify: true, ca: authority.cert };

const opened: Array<() => void> = [];
afterEach(() => {
  for (const close of opened.splice(0)) close();
});

/** An https server with this certificate; it answers with the name that it was asked by. */
async function serve(own: Certificate): Promise<number> {
  const server = createServer({ cert: own.cert, key: own.key }, (request, response) =>
    response.end(String((request.socket as TLSSocket).servername)),
  );
  opened.push(() => {
    server.closeAllConnections();
    server.close();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

const ask = (url: string, part: Partial<ProbeTarget>) =>
  probe({ url: new URL(url), timeout: 2_000, ...part }, { clock: systemClock });
const here = new Map([['app.example', ['127.0.0.1']]]);

describe('a certificate', () => {
  it('of an authority that is given is good', async () => {
    const port = await serve(certificate({ hosts: ['127.0.0.1'], issuer: authority }));
    expect(await ask(`https://127.0.0.1:${port}/`, { tls: trusting })).toMatchObject({
      answered: true,
      status: 200,
    });
  });

  it('of an authority that Node trusts stays good when another is given', async () => {
    const usual = getCACertificates('default');
    setDefaultCACertificates([stranger.cert]);
    try {
      for (const issuer of [stranger, authority]) {
        const port = await serve(certificate({ hosts: ['127.0.0.1'], issuer }));
        expect(await ask(`https://127.0.0.1:${port}/`, { tls: { ...trusting } })).toMatchObject({
          answered: true,
        });
      }
    } finally {
      setDefaultCACertificates(usual);
    }
  });

  it.each<[string, Parameters<typeof certificate>[0], string, RegExp]>([
    [
      'of an unknown authority',
      { hosts: ['127.0.0.1'], issuer: stranger },
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      /does not send its intermediate certificate, or its root is unknown/,
    ],
    [
      'that vouches for itself',
      { hosts: ['127.0.0.1'] },
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      /self-signed; give its issuer in ca-certificates/,
    ],
    [
      'that has ended',
      { hosts: ['127.0.0.1'], issuer: authority, ends: new Date(Date.now() - 60_000) },
      'CERT_HAS_EXPIRED',
      /^the certificate has expired/,
    ],
    [
      'for another name',
      { hosts: ['other.example'], issuer: authority },
      'ERR_TLS_CERT_ALTNAME_INVALID',
      /^the certificate is for another name: .*127\.0\.0\.1/,
    ],
  ])('%s is refused in words, and taken where tls-verify is off', async (_, how, code, message) => {
    const url = `https://127.0.0.1:${await serve(certificate(how))}/`;
    expect(await ask(url, { tls: trusting })).toMatchObject({
      answered: false,
      kind: 'tls',
      code,
      message: expect.stringMatching(message),
    });
    expect(await ask(url, { tls: { verify: false } })).toMatchObject({ answered: true, status: 200 });
  });
});

describe('no TLS handshake', () => {
  const tcp = async (meet: (socket: Socket) => void) => {
    const server = createTcpServer((socket) => meet(socket.on('error', () => {})));
    opened.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  };

  it('where the other side hangs up', async () => {
    const port = await tcp((socket) => void socket.once('data', () => socket.end()));
    expect(await ask(`https://127.0.0.1:${port}/`, {})).toMatchObject({
      kind: 'tls',
      message: 'the other side closed the connection during the TLS handshake',
    });
  });

  it('where the other side says nothing', async () => {
    const port = await tcp(() => {});
    expect(await ask(`https://127.0.0.1:${port}/`, { timeout: 200 })).toMatchObject({
      kind: 'timeout',
      message: 'connected, but no end of the TLS handshake within 200 ms',
    });
  });

  it('where only an older version is spoken', async () => {
    const { cert, key } = certificate({ hosts: ['127.0.0.1'], issuer: authority });
    const server = createServer({ cert, key, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' });
    opened.push(() => server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    expect(await ask(`https://127.0.0.1:${port}/`, { tls: trusting })).toMatchObject({
      kind: 'tls',
      message: expect.stringMatching(/^the TLS handshake failed: tlsv1 alert protocol version/),
    });
  });

  it('where http meets TLS: says to write https', async () => {
    const port = await tcp((socket) =>
      // What a TLS server answers to a plain request: alert, TLS 1.2, two bytes, fatal, unexpected message.
      socket.once('data', () => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 10]))),
    );
    expect(await ask(`http://127.0.0.1:${port}/`, {})).toMatchObject({
      kind: 'protocol',
      message: 'TLS is spoken there; write https (or wss) in url',
    });
  });
});

describe('the name of the URL', () => {
  it('is asked for and verified at the address that stands in for it', async () => {
    const port = await serve(certificate({ hosts: ['app.example'], issuer: authority }));
    expect(await ask(`https://app.example:${port}/`, { resolve: here, tls: trusting })).toMatchObject({
      answered: true,
      body: 'app.example',
      address: `127.0.0.1:${port}`,
    });
  });

  it("is not taken for the address: its certificate must be the name's", async () => {
    const port = await serve(certificate({ hosts: ['127.0.0.1'], issuer: authority }));
    expect(await ask(`https://app.example:${port}/`, { resolve: here, tls: trusting })).toMatchObject({
      answered: false,
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
  });

  it.each([
    [['app.example'], { answered: true, body: 'app.example' }],
    [['other.example'], { answered: false, kind: 'tls', code: 'ERR_TLS_CERT_ALTNAME_INVALID' }],
  ])('is verified through a tunnel, too: a certificate for %s', async (hosts, expected) => {
    const port = await serve(certificate({ hosts, issuer: authority }));
    const tunnel = async () => netConnect(port, '127.0.0.1');
    expect(await ask('https://app.example/', { connect: tunnel, tls: trusting })).toMatchObject(expected);
  });
});
