import { createServer, type RequestListener } from 'node:http';
import { afterEach, describe, expect, it } from '@jest/globals';
import { countVotes, judgeAnswer } from '../src/address.ts';
import { lookUpAddresses } from '../src/ip-lookup.ts';
import { listen, shut } from './stage.ts';

describe('an answer', () => {
  it.each([
    ['20.102.35.7\n', '20.102.35.7'],
    ['  2600:1F18::1 ', '2600:1f18::1'],
  ])('%j is the address %s', (body, address) =>
    expect(judgeAnswer('u', body)).toEqual({ url: 'u', address }),
  );

  it.each([
    ['10.0.0.1', 'a private address'],
    ['172.31.255.255', 'a private address'],
    ['192.168.1.1', 'a private address'],
    ['100.64.0.1', "a carrier's shared address (CGNAT)"],
    ['127.0.0.1', 'a loopback address'],
    ['169.254.169.254', 'a link-local address'],
    ['0.0.0.0', 'no address at all'],
    ['192.0.2.1', 'a reserved address'],
    ['224.0.0.1', 'a reserved address'],
    ['240.0.0.1', 'a reserved address'],
    ['255.255.255.255', 'a reserved address'],
    ['fd00::1', 'a private address'],
    ['fe80::1', 'a link-local address'],
    ['::1', 'a loopback address'],
    ['::ffff:8.8.8.8', 'a reserved address'],
    ['2001:db8::1', 'a reserved address'],
    ['20.102.35.7/32', 'not an address'],
    ['<html>', 'not an address'],
    ['', 'not an address'],
    ['20.102.35.7 20.102.35.8', 'not an address'],
  ])('%j is refused: %s', (body, why) =>
    expect(judgeAnswer('u', body)).toEqual({ url: 'u', failure: expect.stringContaining(why) }),
  );
});

describe('a vote', () => {
  const a = { url: '1', address: '20.0.0.1' };
  const b = { url: '2', address: '20.0.0.2' };
  const no = { url: '3', failure: 'no answer' };
  const six = { url: '4', address: '2600:1f18::1' };
  it.each([
    ['two that agree', [a, { ...a, url: '2' }], 1, { agreed: ['20.0.0.1'] }],
    ['two that agree, two to come that may be reached by IPv6', [a, a], 2, { undecided: true }],
    ['two of each kind', [six, a, a, six], 0, { agreed: ['20.0.0.1', '2600:1f18::1'] }],
    ['two that agree, and one that only IPv6 reaches', [a, six, a], 0, { agreed: ['20.0.0.1'] }],
    ['two that were reached by IPv6 alone', [no, six, six], 0, { agreed: ['2600:1f18::1'] }],
    ['one of two so far', [a], 2, { undecided: true }],
    ['two that differ, one to come', [a, b], 1, { undecided: true }],
    ['three that differ', [a, b, no], 0, { disagreed: '1: 20.0.0.1; 2: 20.0.0.2; 3: no answer' }],
    [
      'nothing that could still reach it',
      [no, { ...no, url: '1' }],
      1,
      { disagreed: '3: no answer; 1: no answer' },
    ],
  ])('%s', (_, answers, outstanding, expected) =>
    expect(countVotes(answers, { quorum: 2, outstanding })).toEqual(expected),
  );
});

describe('the look-up', () => {
  let servers: ReturnType<typeof createServer>[] = [];
  afterEach(async () => {
    const all = servers;
    servers = [];
    await Promise.all(all.map(shut));
  });
  const service = (handle: RequestListener) => {
    const server = createServer(handle);
    servers.push(server);
    return listen(server);
  };
  const says = (text: string) => service((_, response) => response.end(text));

  it('takes what two of three say, without waiting for the third', async () => {
    const urls = [await says('20.102.35.7'), await service(() => {}), await says('20.102.35.7\n')];
    const started = Date.now();
    expect(await lookUpAddresses(urls, { quorum: 2 })).toEqual(['20.102.35.7']);
    expect(Date.now() - started).toBeLessThan(2_000);
  });

  it('introduces itself', async () => {
    let agent: string | undefined;
    const url = await service((request, response) => {
      agent = request.headers['user-agent'];
      response.end('20.102.35.7');
    });
    await lookUpAddresses([url], { quorum: 1 });
    expect(agent).toBe('lockkeeper-ephemeral-ssh-ingress');
  });

  it('does not let one service move the rule to a stranger', async () => {
    const urls = [
      await says('20.0.0.66'),
      await says('20.102.35.7'),
      await service((_, r) => r.writeHead(503).end()),
    ];
    await expect(lookUpAddresses(urls, { quorum: 2 })).rejects.toMatchObject({
      message: expect.stringMatching(/no 2 services agree.*20\.0\.0\.66.*HTTP 503/),
    });
  });

  it('names a service that hangs, redirects, switches or floods', async () => {
    const urls = [
      await service(() => {}),
      await service((_, r) => r.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()),
      await service(({ socket }) =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n'),
      ),
      await says('1'.repeat(5_000)),
    ];
    await expect(lookUpAddresses(urls, { quorum: 1, timeoutMs: 200 })).rejects.toMatchObject({
      message: expect.stringMatching(
        /(?=.*no answer within 0\.2 s)(?=.*HTTP 302)(?=.*HTTP 101)(?=.*more than 1024 bytes)/,
      ),
    });
  });

  it('stops when the run is cancelled', async () => {
    const cancel = new AbortController();
    setTimeout(() => cancel.abort(new Error('cancelled')), 50);
    await expect(
      lookUpAddresses([await service(() => {})], { quorum: 1, signal: cancel.signal }),
    ).rejects.toThrow('cancelled');
  });
});
