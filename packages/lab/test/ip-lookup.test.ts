import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type IpAnswer, type IpLookup, openIpLookup } from '../src/ip-lookup.ts';

let lookup: IpLookup;
beforeEach(async () => {
  lookup = await openIpLookup('20.102.35.7');
});
afterEach(() => lookup.close());

const ask = async (index: number) => {
  const response = await fetch(lookup.urls[index]!, {
    redirect: 'manual',
    signal: AbortSignal.timeout(300),
  });
  return { status: response.status, body: await response.text() };
};

it('answers the address in three ways', async () => {
  const bodies = await Promise.all([0, 1, 2].map(async (index) => (await ask(index)).body));
  expect(bodies).toEqual(['20.102.35.7\n', '20.102.35.7', '{"ip":"20.102.35.7"}']);
  expect(lookup.asked).toEqual([1, 1, 1]);
});

it('answers a new address once it has changed', async () => {
  lookup.address = '20.102.35.8';
  expect((await ask(1)).body).toBe('20.102.35.8');
});

it('lets one service disagree with the others', async () => {
  lookup.answers[2] = { kind: 'address', address: '198.51.100.4' };
  expect((await ask(2)).body).toBe('{"ip":"198.51.100.4"}');
  expect((await ask(0)).body).toBe('20.102.35.7\n');
});

describe('no answer', () => {
  it.each<[IpAnswer, { status: number; body: string }]>([
    [
      { kind: 'body', body: '<html>sign in</html>' },
      { status: 200, body: '<html>sign in</html>' },
    ],
    [
      { kind: 'status', status: 503 },
      { status: 503, body: 'not now\n' },
    ],
    [
      { kind: 'redirect', location: 'http://127.0.0.1:1/' },
      { status: 302, body: '' },
    ],
  ])('%j', async (answer, expected) => {
    lookup.answers[0] = answer;
    expect(await ask(0)).toEqual(expected);
  });

  it('a reset', async () => {
    lookup.answers[0] = { kind: 'reset' };
    await expect(ask(0)).rejects.toThrow('fetch failed');
  });

  it('silence', async () => {
    lookup.answers[0] = { kind: 'hang' };
    await expect(ask(0)).rejects.toMatchObject({ name: 'TimeoutError' });
  });
});
