import { describe, expect, it } from '@jest/globals';
import { type Container, parseContainers } from '../src/host/containers.ts';
import { judge } from '../src/prove/verdict.ts';
import { leftovers } from '../src/switch/leftovers.ts';

function container(changes: Partial<Container> = {}): Container {
  return {
    id: 'a1',
    name: 'shop-web-1',
    service: 'web',
    oneOff: false,
    image: 'sha256:new',
    reference: 'web:v2',
    configHash: '',
    workingDirectory: '/srv/shop',
    configFiles: [],
    dependsOn: [],
    project: 'shop',
    status: 'running',
    exitCode: 0,
    outOfMemory: false,
    error: '',
    pid: 1,
    startedAt: '2026-11-21T03:12:00Z',
    finishedAt: '',
    restartCount: 0,
    restartPolicy: 'no',
    environment: [],
    command: [],
    ports: [],
    addresses: [],
    networks: [],
    hostNetwork: false,
    ...changes,
  };
}

const health = (status: string, failingStreak = 0, output = '') => ({
  status,
  failingStreak,
  retries: 3,
  interval: 30_000,
  log: output ? [{ exitCode: 1, output }] : [],
});

const web = [{ service: 'web', replicas: 1 }];

describe('the verdict', () => {
  it.each<[string, Partial<Container>, 'good' | 'waiting' | 'failed', string]>([
    ['healthy', { health: health('healthy') }, 'good', ''],
    ['running without a check', {}, 'good', ''],
    ['starting', { health: health('starting') }, 'waiting', 'web: starting'],
    [
      'starting, with failed checks so far',
      { health: health('starting', 1, 'GET /health/ answered 503') },
      'waiting',
      'web: starting, GET /health/ answered 503 (1 of 3)',
    ],
    [
      'unhealthy',
      { health: health('unhealthy', 3, 'curl: (22)\nGET /health/ answered 503\n') },
      'failed',
      'web is unhealthy on 10.0.0.5: GET /health/ answered 503 (3 of 3)',
    ],
    ['a job that ended well', { status: 'exited' }, 'good', ''],
    ['a job that failed', { status: 'exited', exitCode: 2 }, 'failed', 'web has exited on 10.0.0.5: code 2'],
    [
      'a server that ended, well or not',
      { status: 'exited', ports: [{ host: 80, container: 80 }] },
      'failed',
      'web has exited on 10.0.0.5: code 0',
    ],
    [
      'something to be restarted that ended',
      { status: 'exited', restartPolicy: 'always' },
      'failed',
      'code 0',
    ],
    [
      'killed for its memory',
      { status: 'exited', exitCode: 137, outOfMemory: true },
      'failed',
      'web has exited on 10.0.0.5: code 137, out of memory',
    ],
    [
      'restarting the first time',
      { status: 'restarting', exitCode: 1, restartCount: 1 },
      'waiting',
      'code 1',
    ],
    [
      'in a crash loop',
      { status: 'restarting', exitCode: 1, restartCount: 3 },
      'failed',
      'web is crash-looping on 10.0.0.5: it died 3 times with code 1',
    ],
    [
      // Its exit code is 0 now, whatever it died with.
      'caught running in a crash loop',
      { restartCount: 4 },
      'failed',
      'web is crash-looping on 10.0.0.5: it died 4 times',
    ],
    ['created and not started yet', { status: 'created' }, 'waiting', 'created'],
    [
      'created and unable to start',
      { status: 'created', error: 'port is already allocated' },
      'failed',
      'port is already allocated',
    ],
    ['paused', { status: 'paused' }, 'failed', 'paused'],
  ])('of a container that is %s', (_what, changes, state, reason) => {
    const judgement = judge([container(changes)], web, '10.0.0.5');
    expect(judgement.state).toBe(state);
    expect(judgement.reason).toContain(reason);
  });

  it('looks at all replicas, not at the first', () => {
    const two = [{ service: 'web', replicas: 2 }];
    const first = container({ health: health('healthy') });
    const second = container({ id: 'a2', health: health('unhealthy', 3, 'no') });
    expect(judge([first, second], two, 'h').state).toBe('failed');
    expect(judge([first], two, 'h')).toMatchObject({ state: 'waiting', reason: 'web: 1 of 2 replicas' });
  });

  it('fails on a restart within the stability window, which an instant look would miss', () => {
    const before = new Map([['a1', { restartCount: 0, startedAt: '2026-11-21T03:12:00Z' }]]);
    expect(judge([container()], web, 'h', before).state).toBe('good');
    expect(judge([container({ restartCount: 1 })], web, 'h', before)).toMatchObject({
      state: 'failed',
      // Not with which code: Docker forgets it when the container runs again.
      reason: 'web restarted on h: it died within the stability window',
    });
    expect(judge([container({ status: 'restarting', exitCode: 4 })], web, 'h', before)).toMatchObject({
      state: 'failed',
      reason: 'web restarted on h: it died with code 4 within the stability window',
    });
    expect(judge([container({ startedAt: '2026-11-21T03:12:05Z' })], web, 'h', before).state).toBe('failed');
    expect(judge([], web, 'h', before).state).toBe('failed');
  });

  it('does not take the old image for the new release', () => {
    const expectation = [{ service: 'web', replicas: 1, image: 'sha256:new' }];
    expect(judge([container()], expectation, 'h').state).toBe('good');
    expect(judge([container({ image: 'sha256:old' })], expectation, 'h')).toMatchObject({
      state: 'failed',
      reason: 'web on h does not run the image of this release',
    });
  });

  it('takes no notice of one-off containers and of other services', () => {
    const others = [
      container({ id: 'b', oneOff: true, status: 'exited', exitCode: 9 }),
      container({ id: 'c', service: 'old', status: 'exited', exitCode: 9 }),
    ];
    expect(judge([container(), ...others], web, 'h').state).toBe('good');
  });
});

describe('docker inspect', () => {
  it('is read whatever else Docker tells', () => {
    const [parsed] = parseContainers(
      JSON.stringify([
        {
          Id: 'abc',
          Name: '/shop-web-1',
          Image: 'sha256:1',
          RestartCount: 2,
          Platform: 'linux',
          State: { Status: 'running', Pid: 42, Health: { Status: 'healthy', FailingStreak: 0, Log: null } },
          Config: {
            Image: 'web:v1',
            Env: null,
            Labels: { 'com.docker.compose.service': 'web', 'com.docker.compose.oneoff': 'False' },
            Healthcheck: { Test: ['CMD', 'true'], Interval: 1_000_000_000 },
          },
          HostConfig: { RestartPolicy: { Name: 'unless-stopped', MaximumRetryCount: 0 } },
          NetworkSettings: {
            Ports: { '8000/tcp': [{ HostIp: '0.0.0.0', HostPort: '80' }], '9000/tcp': null },
            Networks: { shop_default: { IPAddress: '172.18.0.2' } },
          },
        },
      ]),
    );
    expect(parsed).toMatchObject({
      name: 'shop-web-1',
      service: 'web',
      oneOff: false,
      restartPolicy: 'unless-stopped',
      health: { status: 'healthy', retries: 3, interval: 1000 },
      ports: [{ host: 80, container: 8000 }],
      addresses: ['172.18.0.2'],
    });
    expect(parseContainers('')).toEqual([]);
    expect(() => parseContainers('[{"Id": 1}]')).toThrow();
  });

  it('tells what a proxy depends on to run, and no job that filled a volume for it: that has an address while it works', () => {
    const dependsOn = (label: string) => {
      const container = {
        ...{ Id: 'abc', Name: '/shop-nginx-1', Image: 'sha256:1', RestartCount: 0 },
        State: { Status: 'running' },
        Config: { Image: 'nginx:1', Env: null, Labels: { 'com.docker.compose.depends_on': label } },
        HostConfig: {},
        NetworkSettings: {},
      };
      return parseContainers(JSON.stringify([container]))[0]?.dependsOn;
    };
    expect(dependsOn('web:service_started:false,front:service_completed_successfully:true')).toEqual(['web']);
    expect(dependsOn('')).toEqual([]);
  });
});

describe('what an interrupted up left', () => {
  it.each<[string, Array<Partial<Container>>, unknown]>([
    [
      'beside the old one: goes',
      [{ name: 'web' }, { id: 'n', name: '0123456789ab_web', status: 'created' }],
      [{ id: 'n' }],
    ],
    [
      'alone and never started: goes',
      [{ id: 'n', name: '0123456789ab_web', status: 'created' }],
      [{ id: 'n' }],
    ],
    [
      'alone and serving: gets its name back',
      [{ id: 'n', name: '0123456789ab_web' }],
      [{ id: 'n', rename: 'web' }],
    ],
    ['nothing: nothing', [{ name: 'web' }, { name: 'abc_web' }], []],
  ])('%s', (_what, containers, expected) => {
    expect(leftovers(containers.map((changes) => container(changes)))).toEqual(expected);
  });
});
