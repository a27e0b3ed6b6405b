import { describe, expect, it } from '@jest/globals';
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
      url: 'file:///etc/passwd, https://user:secret@app.example/, https://user:secret@/, tcp://app.example, gopher://x/, http://app.example:0/',
      'expected-status': 'ok',
      'expected-body': '(',
      'expected-json': 'database',
      'expected-version': 'v2',
      headers: 'no colon\nX-Name: 서울',
      method: 'get',
      resolve: 'app.example=1.2.3.4:80',
      interval: '2',
      'probe-timeout': '5',
      timeout: 'soon',
      'consecutive-successes': '0',
      'version-successes': 'ten',
      'max-connection-errors': '-1',
      soak: '1',
      concurrency: '0',
      'max-error-rate': '1',
      'max-p95': '500',
      'min-rps': 'ten',
      'min-samples': '0',
      'served-by': 'X-Host',
      hold: '60',
      'tls-verify': 'yes',
      'ca-certificates': 'x',
      'dry-run': '1',
    }),
  ).toEqual([
    'url: "file:///etc/passwd" is not valid; expected https://…, http://…, tcp://host:port, wss://… or ws://…',
    'url: https://…@app.example carries credentials; give them in headers, which are masked',
    'url: "https://…@/" is not valid; expected https://…, http://…, tcp://host:port, wss://… or ws://…',
    'url: "tcp://app.example" is not valid; expected https://…, http://…, tcp://host:port, wss://… or ws://…',
    'url: "gopher://x/" is not valid; expected https://…, http://…, tcp://host:port, wss://… or ws://…',
    'url: "http://app.example:0/" is not valid; expected https://…, http://…, tcp://host:port, wss://… or ws://…',
    'expected-status: "ok" is not valid; expected codes or ranges, such as 200 or 200-299,301',
    'version-from: is required with expected-version; expected json:path, header:Name or body:regex',
    expect.stringMatching(/^expected-body: "\(" is not valid; expected a regular expression/),
    'expected-json: "database" is not valid; expected name=value, one a line',
    'served-by: "X-Host" is not valid; expected header:Name',
    'headers: "no colon" is not valid; expected name: value, one a line',
    'headers: the value of X-Name holds characters that no header can carry',
    'resolve: "app.example=1.2.3.4:80" is not valid; expected host=address or host=other-name, without a port',
    'ca-certificates: is no PEM certificate; expected -----BEGIN CERTIFICATE-----',
    'consecutive-successes: "0" is not valid; expected a whole number from 1',
    'version-successes: "ten" is not valid; expected a whole number from 1',
    'max-connection-errors: "-1" is not valid; expected a whole number from 0',
    'method: "get" is not valid; expected a method such as GET or HEAD',
    'interval: "2" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'probe-timeout: "5" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'timeout: "soon" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'hold: "60" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'tls-verify: "yes" is not valid; expected true or false',
    'dry-run: "1" is not valid; expected true or false',
    'soak: "1" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'max-error-rate: "1" is not valid; expected a percentage from 0% to 100%, such as 1% or 0.5%',
    'min-rps: "ten" is not valid; expected a number from 0, such as 10',
    'concurrency: "0" is not valid; expected a whole number from 1 to 100',
    'max-p95: "500" is not valid; expected a duration with its unit, such as 90s, 5m or 2h',
    'min-samples: "0" is not valid; expected a whole number from 1',
  ]));

describe('refuses', () => {
  const http = 'https://app.example/';
  it.each<[string, Record<string, string>, string]>([
    [
      'a host to resolve that no url has',
      { url: http, resolve: 'www.example=192.0.2.1' },
      'resolve: www.example is the host of no url; expected one of app.example',
    ],
    [
      'a body expected of HEAD',
      { url: http, method: 'HEAD', 'expected-body': 'fine' },
      'expected-body: the answer to HEAD has no body; use GET',
    ],
    [
      'JSON expected of a WebSocket',
      { url: 'wss://app.example/ws', 'expected-json': 'a=1' },
      'expected-json: no url is http or https, and nothing else has a body',
    ],
    [
      'a version in the body of a WebSocket',
      { url: 'wss://app.example/ws', 'expected-version': 'v2', 'version-from': 'json:version' },
      'version-from: no url is http or https, and nothing else has a body; or read it from header:Name',
    ],
    [
      'a version of a TCP port',
      { url: 'tcp://app.example:22', 'version-from': 'header:X-Version' },
      'version-from: a tcp url answers with nothing that could be read',
    ],
    [
      'a status of a WebSocket',
      { url: 'ws://app.example/', 'expected-status': '101' },
      'expected-status: no url is http or https; a WebSocket must answer 101',
    ],
    ['hold without a WebSocket', { url: http, hold: '60s' }, 'hold: no url is ws or wss; leave it out'],
    [
      'limits without a soak',
      { url: http, 'max-p95': '1s' },
      'max-p95: holds during soak alone; give soak, such as 1m, or leave it out',
    ],
    [
      'a limit that no answer could break',
      { url: http, soak: '1m', 'max-p95': '10s' },
      'max-p95: 10 s is more than probe-timeout (5 s), so no answer could break it',
    ],
    [
      'a rate that cannot be reached',
      { url: http, soak: '1m', 'min-rps': '50' },
      'min-rps: 50 a second cannot be reached: concurrency 1 asks at most 20 times a second; give concurrency 3 or more',
    ],
    [
      'samples that cannot be reached',
      { url: http, soak: '500ms' },
      'min-samples: 20 cannot be reached: 500 ms of soak with concurrency 1 makes at most 10',
    ],
    [
      'a time that is too short for the answers asked for',
      { url: http, 'expected-version': 'v2', 'version-from': 'json:v', timeout: '10s' },
      'timeout: 10 s is too short for 10 answers in a row, one every 2 s; expected at least 18 s',
    ],
  ])('%s', (_, values, problem) => expect(problems(values)).toEqual([problem]));
});

it('reads a soak with its limits, and a hold', () =>
  expect(
    parseInputs(
      inputsOf(
        {
          url: 'wss://app.example/ws',
          soak: '1m',
          concurrency: '4',
          'max-error-rate': '0.5%',
          'max-p95': '1s',
          'min-rps': '12.5',
          'min-samples': '50',
          hold: '70s',
          'served-by': 'header:X-Host',
        },
        defaults,
      ),
    ),
  ).toMatchObject({
    soak: {
      ms: 60_000,
      concurrency: 4,
      limits: { maxErrorRate: 0.005, maxP95: 1000, minRps: 12.5, minSamples: 50 },
    },
    hold: 70_000,
    expectation: { servedBy: 'x-host' },
  }));

it('knows the host to resolve of a tcp url, whatever its case', () =>
  expect([
    ...parseInputs(inputsOf({ url: 'tcp://DB.Internal:5432', resolve: 'db.Internal=192.0.2.1' }, defaults))
      .resolve,
  ]).toEqual([['db.internal', ['192.0.2.1']]]));

it('reads several addresses for one host, whatever its case, and IPv6 in brackets', () =>
  expect([
    ...parseInputs(
      inputsOf(
        { url: 'https://app.example/', resolve: 'App.Example=192.0.2.1\napp.example=[2001:db8::1]' },
        defaults,
      ),
    ).resolve,
  ]).toEqual([['app.example', ['192.0.2.1', '2001:db8::1']]]));

it('asks a URL once that is given twice, and leaves its fragment out', () =>
  expect(
    parseInputs(inputsOf({ url: 'https://app.example/#a, https://app.example/#b' }, defaults)).urls.map(
      String,
    ),
  ).toEqual(['https://app.example/']));

it('masks a token in the query of a URL', () => {
  const inputs = inputsOf({ url: 'https://app.example/health?token=abcdefgh&page=12345678' }, defaults);
  expect([parseInputs(inputs).secrets, inputs.masked]).toEqual([['abcdefgh'], ['abcdefgh']]);
});

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
