import { expect, it } from '@jest/globals';
import { type InputError, inputsOf } from '@lockkeeper/action';
import { actions, contractOf } from '../../../tools/manifest.ts';
import { parseInputs } from '../src/inputs.ts';

const { inputs: defaults } = contractOf(actions().find(({ name }) => name === 'health-gate')!);
const problems = (values: Record<string, string>) => {
  try {
    parseInputs(inputsOf(values, defaults));
    return [];
  } catch (error) {
    return (error as InputError).problems;
  }
};

it('needs nothing but a URL', () =>
  expect(parseInputs(inputsOf({ url: 'https://app.example/health/' }, defaults))).toMatchObject({
    method: 'GET',
    interval: 2000,
    timeout: 120_000,
    criteria: { consecutiveSuccesses: 3, versionSuccesses: 10, maxConnectionErrors: 3 },
    expectation: { status: [[200, 200]] },
    tls: { verify: true },
  }));

it('tells everything that is wrong at once', () =>
  expect(
    problems({
      url: 'file:///etc/passwd, https://user:secret@app.example/, tcp://app.example, ws://app.example/',
      'expected-status': 'ok',
      'expected-body': '(',
      'expected-json': 'database',
      'expected-version': 'v2',
      headers: 'no colon',
      method: 'get',
      interval: '2',
      'consecutive-successes': '0',
      'ca-certificates': 'x',
      soak: '1m',
    }),
  ).toEqual([
    'url: "file:///etc/passwd" is not valid; expected https://…, http://… or tcp://host:port',
    'url: https://…@app.example carries credentials; give them in headers, which are masked',
    'url: "tcp://app.example" is not valid; expected https://…, http://… or tcp://host:port',
    'url: "ws://app.example/": WebSockets are not supported by this version yet; leave it out',
    'expected-status: "ok" is not valid; expected codes or ranges, such as 200 or 200-299,301',
    'version-from: is required with expected-version; expected json:path, header:Name or body:regex',
    'headers: "no colon" is not valid; expected name: value, one a line',
    expect.stringMatching(/^expected-body: "\(" is not valid; expected a regular expression/),
    'expected-json: "database" is not valid; expected name=value, one a line',
    'ca-certificates: is no PEM certificate; expected -----BEGIN CERTIFICATE-----',
    'consecutive-successes: "0" is not valid; expected a whole number from 1',
    'method: "get" is not valid; expected a method such as GET or HEAD',
    'interval: "2" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'soak: is not supported by this version yet; leave it out',
  ]));

it('masks the headers that carry secrets, and leaves the others readable', () => {
  const inputs = inputsOf(
    { url: 'https://app.example/', headers: 'Authorization: Bearer abcdefgh\nX-Forwarded-Proto: https' },
    defaults,
  );
  parseInputs(inputs);
  expect(inputs.masked).toEqual(['Bearer abcdefgh']);
});

it.each([
  ['Authorization: Bearer abcdefgh', ['Bearer abcdefgh', 'abcdefgh']],
  ['Authorization: Basic dXNlcjpwYXNz==', ['Basic dXNlcjpwYXNz==', 'dXNlcjpwYXNz==']],
  ['Cookie: sessionid=0123456789; lang=en', ['sessionid=0123456789; lang=en', '0123456789']],
  ['X-Api-Key: on', []],
  ['X-Forwarded-Proto: https-and-more', []],
])('knows what of %s only the app may see', (headers, secrets) =>
  expect(parseInputs(inputsOf({ url: 'https://app.example/', headers }, defaults)).secrets).toEqual(secrets),
);
