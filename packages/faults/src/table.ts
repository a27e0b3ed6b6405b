import { ends, type FaultCase } from './case.ts';
import { killPoints } from './kill-points.ts';
import {
  aws,
  cancel,
  cutSsh,
  denied,
  docker,
  fileCommandGone,
  kill,
  killSoon,
  lose,
  registry,
  ruleGone,
  sessionsExpire,
  shutDown,
  shutOut,
  skewed,
  slack,
} from './strike.ts';

// Every case of the failure model (F) and the threat model (T), by its name. A fault more is one line of `runs`.

const stays = ends('failure', 'old');
const cancelled = (serves: 'old' | 'one') => ends('cancelled', serves);
const main = { phases: ['main'] } as const;
const refused = { ...main, main: stays };
/** Ill in the re-run as well, which deploys the same release. */
const illAgain = { ...main, main: stays, again: stays };
const deploy = (line: RegExp) => ({ step: 'deploy', line }) as const;
const staging = deploy(/Stage on|staging \d/);
const staged = deploy(/web: recreate, image/);
const switched = deploy(/Container sample-web-1 {2}Started/);
const proving = deploy(/: healthy; watching it for/);
const wrong = (inputs: Record<string, string>) => ({ wrongInputs: { deploy: inputs } });
const print = (...lines: string[]) => ({
  deploy: { 'pre-deploy': lines.map((line) => `printf '%b\\n' '${line}'`).join('\n') },
});
const real = (file: string, test: string) => ({ file: `test/real/${file}`, test });
const quick = (file: string, test: string) => ({ file, test });

export const table: readonly FaultCase[] = [
  {
    id: 'F01',
    what: 'SIGINT before any remote change',
    runs: [
      {
        what: 'cancelled before staging',
        scene: 'server',
        at: deploy(/^Release /),
        strike: cancel,
        ...main,
        main: cancelled('old'),
      },
    ],
  },
  {
    id: 'F02',
    what: 'SIGINT while the release is brought to the host',
    runs: [
      {
        what: 'cancelled while images are pulled',
        scene: 'server',
        at: deploy(/pulling/),
        strike: cancel,
        ...main,
        main: cancelled('old'),
      },
    ],
    heldBy: [
      quick(
        'actions/compose-deploy/test/upload.test.ts',
        'is made good by post when it is cancelled after the switch',
      ),
    ],
  },
  {
    id: 'F03',
    what: 'SIGINT between switch and proof',
    runs: [
      {
        what: 'cancelled once switched',
        scene: 'server',
        at: switched,
        strike: cancel,
        ...main,
        main: cancelled('one'),
      },
      {
        what: 'cancelled in mid-roll',
        scene: 'fleet',
        at: deploy(/^switching i-/),
        strike: cancel,
        ...main,
        main: cancelled('one'),
      },
    ],
  },
  {
    id: 'F04',
    what: 'SIGKILL at each logged phase',
    runs: [
      ...killPoints.map(({ step, line, ...point }) => ({
        ...point,
        scene: 'server' as const,
        at: { step, line },
        strike: kill,
        ...main,
        main: ends('failure', 'one'),
      })),
      {
        what: 'post is killed as well, and the next run is all',
        scene: 'server',
        strike: killSoon,
        loses: true,
        phases: ['post'],
        post: ends('failure', 'one'),
      },
      {
        what: 'killed while draining',
        scene: 'fleet',
        at: deploy(/^draining/),
        strike: kill,
        ...main,
        main: stays,
      },
    ],
    heldBy: [
      quick(
        'actions/rolling-alb-deploy/test/fleet-killed.slow.test.ts',
        '$what in $phase: the membership is restored, and nobody notices',
      ),
      quick(
        'actions/ephemeral-ssh-ingress/test/killed-process.slow.test.ts',
        'main killed when %s %s, and %s: nothing of ours is open and nothing of others touched',
      ),
    ],
  },
  {
    id: 'F05',
    what: 'the runner is lost, and no post runs',
    runs: [
      ...killPoints
        .filter(({ step }) => step === 'deploy')
        .map(({ what, step, line }) => ({
          what: what.replace('killed', 'lost'),
          scene: 'server' as const,
          at: { step, line },
          strike: lose,
          loses: true,
          ...main,
          main: ends('failure|cancelled', 'one'),
        })),
      {
        what: 'shut down while it is watched',
        scene: 'server',
        at: proving,
        strike: shutDown,
        loses: true,
        ...main,
        main: ends('failure|cancelled', 'one'),
      },
    ],
    heldBy: [
      quick(
        'actions/rolling-alb-deploy/test/fleet-lost.slow.test.ts',
        '$what in $phase: the next run restores the membership',
      ),
    ],
  },
  {
    id: 'F06',
    what: 'timeout-minutes fires while health is waited for',
    runs: [
      {
        what: 'the release never answers its health check',
        scene: 'server',
        sick: 'hang',
        timeoutMinutes: 0.3,
        inputs: { deploy: { 'health-timeout': '60s' } },
        ...illAgain,
        says: /has timed out after/,
      },
    ],
  },
  {
    id: 'F07',
    what: 'the run is cancelled while post runs',
    runs: [
      {
        what: 'cancelled in post',
        scene: 'server',
        strike: cancel,
        phases: ['post'],
        post: ends('failure|cancelled', 'old'),
      },
    ],
    heldBy: [quick('packages/runner/test/job.test.ts', 'does not disturb a post')],
  },
  {
    id: 'F08',
    what: 'job in a container: no signal, then the container is gone',
    because:
      'the actions see the same as in F05: no signal and no post; the runner package has no containers',
  },
  {
    id: 'F09',
    what: 'main fails before it saved anything',
    runs: [{ what: 'no host is given', scene: 'server', ...wrong({ host: '' }), ...refused, says: /host/ }],
  },
  {
    id: 'F10',
    what: 'what post would clean up is gone already',
    runs: [
      {
        what: 'somebody took the rule away',
        scene: 'server',
        at: proving,
        strike: ruleGone,
        ...main,
        main: ends('success', 'new'),
      },
    ],
  },
  {
    id: 'F11',
    what: 'the connection is cut in the middle of a command',
    runs: [
      { what: 'reset at the switch', scene: 'server', at: switched, strike: cutSsh },
      { what: 'reset while draining', scene: 'fleet', at: deploy(/^switching i-/), strike: cutSsh, ...main },
    ],
    heldBy: [
      quick(
        'packages/ssh/test/silence.slow.test.ts',
        'a connection that goes silent is found lost within about half a minute, and made anew',
      ),
      real('outage.test.ts', 'ends with a restart of sshd in the middle of a migration lands'),
    ],
  },
  {
    id: 'F12',
    what: 'SSH cannot be reached, or does not let in',
    runs: [
      { what: 'shut for 4 s', scene: 'server', at: staging, strike: shutOut(4000) },
      {
        what: 'the key is another',
        scene: 'server',
        ...wrong({ username: 'nobody' }),
        ...refused,
        says: /nobody/,
      },
    ],
    heldBy: [
      quick('packages/ssh/test/connection.test.ts', 'tries again while nothing listens yet'),
      quick('packages/ssh/test/connection.test.ts', 'does not try a refused key again'),
    ],
  },
  {
    id: 'F13',
    what: 'a remote command ends with 255 or by a signal, its work half done',
    runs: [
      {
        what: 'up answers 255',
        scene: 'server',
        at: staged,
        strike: docker({ command: 'compose', holding: ' up ', message: 'Killed', code: 255, times: 1 }),
        ...refused,
        says: /Killed/,
      },
    ],
    heldBy: [
      quick(
        'packages/compose/test/step.test.ts',
        'whose runner is killed has no exit code, which is no success, and it is not run again',
      ),
      quick(
        'packages/ssh/test/connection.test.ts',
        'is a failure when the host closes it without an exit code',
      ),
    ],
  },
  {
    id: 'F14',
    what: 'a remote command waits for an answer on stdin',
    runs: [
      {
        what: 'pre-deploy asks',
        scene: 'server',
        ...wrong({ 'pre-deploy': 'read -r answer || { echo "nobody answers" >&2; exit 3; }' }),
        ...refused,
        says: /nobody answers/,
      },
    ],
    heldBy: [
      quick(
        'packages/compose/test/step.test.ts',
        'reads nothing, ends at the first line that fails, and is its own session',
      ),
    ],
  },
  {
    id: 'F15',
    what: 'names that do not resolve, or whose first address is dead',
    heldBy: [quick('packages/ssh/test/dial.test.ts', 'that may pass by itself is tried again: %s')],
  },
  {
    id: 'F16',
    what: 'AWS throttles or fails, on reads and on changes',
    runs: [
      {
        what: 'opening is throttled twice, reads fail once',
        scene: 'server',
        strike: aws(
          { kind: 'throttle', match: { action: 'AuthorizeSecurityGroupIngress', times: 2 } },
          { kind: '5xx', match: { action: 'DescribeSecurityGroupRules' } },
        ),
        ...main,
      },
      {
        what: 'closing is throttled twice, reads fail once',
        scene: 'server',
        strike: aws(
          { kind: 'throttle', match: { action: 'RevokeSecurityGroupIngress', dryRun: false, times: 2 } },
          { kind: '5xx', match: { action: 'DescribeSecurityGroupRules' } },
        ),
      },
      {
        what: 'registering is throttled',
        scene: 'fleet',
        strike: aws({ kind: 'throttle', match: { action: 'RegisterTargets', times: 4 } }),
      },
    ],
    heldBy: [
      quick(
        'actions/rolling-alb-deploy/test/fleet-faults.slow.test.ts',
        'membership ends as it began, and the release is rolled',
      ),
    ],
  },
  {
    id: 'F17',
    what: 'AWS did it, and the answer is lost',
    runs: [
      {
        what: 'of opening',
        scene: 'server',
        strike: aws({
          kind: 'lost-response',
          match: { action: 'AuthorizeSecurityGroupIngress', dryRun: false },
        }),
        ...main,
      },
      {
        what: 'of closing',
        scene: 'server',
        strike: aws({
          kind: 'lost-response',
          match: { action: 'RevokeSecurityGroupIngress', dryRun: false },
        }),
      },
      {
        what: 'of registering',
        scene: 'fleet',
        strike: aws({ kind: 'lost-response', match: { action: 'RegisterTargets' } }),
        phases: ['post'],
      },
    ],
  },
  {
    id: 'F18',
    what: 'credentials expire on the way',
    runs: [
      {
        what: 'of every session, between main and post',
        scene: 'server',
        at: proving,
        strike: sessionsExpire,
      },
    ],
    heldBy: [
      quick(
        'actions/ephemeral-ssh-ingress/test/dist.test.ts',
        'takes the role anew in post, where main took it',
      ),
      quick(
        'actions/rolling-alb-deploy/test/fleet-ten.slow.test.ts',
        'no request is lost, and credentials are renewed',
      ),
    ],
  },
  {
    id: 'F19',
    what: 'one call of a sequence is denied',
    runs: [
      {
        what: 'opening',
        scene: 'server',
        strike: denied('AuthorizeSecurityGroupIngress'),
        ...refused,
        says: /ec2:AuthorizeSecurityGroupIngress/,
      },
      {
        what: 'deregistering',
        scene: 'fleet',
        strike: denied('DeregisterTargets'),
        ...refused,
        says: /elasticloadbalancing:DeregisterTargets/,
      },
    ],
    heldBy: [
      quick(
        'actions/ephemeral-ssh-ingress/test/ingress.test.ts',
        'names what is still open when it may not close',
      ),
    ],
  },
  {
    id: 'F20',
    what: 'clocks are 20 minutes apart',
    runs: [
      { what: "AWS's is ahead", scene: 'server', strike: skewed(1_200_000) },
      { what: "AWS's is behind", scene: 'server', strike: skewed(-1_200_000) },
    ],
  },
  {
    id: 'F21',
    what: 'registered, and never healthy; one of several is not registered',
    runs: [
      {
        what: 'the release is ill behind the balancer',
        scene: 'fleet',
        sick: '503',
        ...illAgain,
        says: /503/,
      },
    ],
    heldBy: [
      quick(
        'actions/rolling-alb-deploy/test/fleet.test.ts',
        'the next run puts back who was left out, from the record of the host that stayed',
      ),
    ],
  },
  {
    id: 'F22',
    what: 'a drain that does not end',
    heldBy: [
      quick(
        'actions/rolling-alb-deploy/test/fleet-load.slow.test.ts',
        'but WebSockets that outlive the delay are cut, and reported',
      ),
    ],
  },
  {
    id: 'F23',
    what: "the host's disk is full",
    heldBy: [
      real('full-disk.test.ts', 'on a host whose disk is full'),
      quick(
        'packages/compose/test/stage.test.ts',
        'named services must be in the file, and the disk must not be full',
      ),
    ],
  },
  {
    id: 'F24',
    what: "the runner's files cannot be written",
    runs: [
      {
        what: 'the state',
        scene: 'server',
        at: { step: 'deploy' },
        strike: fileCommandGone('save_state'),
        ...refused,
      },
      {
        what: 'the summary',
        scene: 'server',
        at: { step: 'deploy' },
        strike: fileCommandGone('step_summary'),
        ...main,
        says: /the job summary could not be written/,
      },
    ],
  },
  {
    id: 'F25',
    what: 'the Docker daemon is away for a moment',
    runs: [
      {
        what: 'while staging',
        scene: 'server',
        at: staging,
        strike: docker({
          command: 'compose',
          message: 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock',
          times: 1,
        }),
        ...main,
        main: ends('success|failure', 'one'),
      },
      {
        what: 'while proving',
        scene: 'server',
        at: proving,
        strike: docker({
          command: 'inspect',
          message: 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock',
          times: 2,
        }),
        ...main,
        main: ends('success|failure', 'one'),
      },
    ],
    heldBy: [
      real(
        'files.test.ts',
        'is made good by the next run when the host restarts in the middle of the switch',
      ),
    ],
  },
  {
    id: 'F26',
    what: 'the registry refuses, lacks, or gives other bytes',
    runs: [
      {
        what: 'manifest missing',
        scene: 'server',
        strike: registry({ on: 'manifest', kind: 'missing' }),
        ...refused,
      },
      {
        what: '500 of a layer',
        scene: 'server',
        strike: registry({ on: 'blob', kind: 'error' }),
        ...refused,
      },
      {
        what: 'other bytes than the digest says',
        scene: 'server',
        strike: registry({ on: 'blob', kind: 'corrupt' }),
        ...refused,
      },
    ],
  },
  {
    id: 'F27',
    what: 'the release is ill',
    runs: [
      { what: 'crashes at start', scene: 'server', sick: 'crash', ...illAgain, says: /cannot start/ },
      { what: 'crashes after a second', scene: 'server', sick: 'crash-later', ...illAgain },
      { what: 'answers 503', scene: 'server', sick: '503', ...illAgain, says: /503/ },
      {
        what: 'has no database, which the gate alone sees',
        scene: 'server',
        sick: 'database',
        ...illAgain,
        says: /database/,
      },
    ],
  },
  {
    id: 'F28',
    what: 'going back fails, too',
    runs: [
      {
        what: 'up fails when going back',
        scene: 'server',
        sick: '503',
        at: deploy(/web: starting/),
        strike: docker({ command: 'compose', holding: ' up ', message: 'no space left on device' }),
        mendedByReRun: true,
        ...main,
        main: ends('failure', 'one'),
        again: stays,
        says: /no space left on device/,
      },
    ],
    heldBy: [
      quick(
        'actions/rolling-alb-deploy/test/run-roll.test.ts',
        'registers a host even when its old release does not come back, and says so',
      ),
    ],
  },
  {
    id: 'F29',
    what: 'two runs at once',
    heldBy: [
      real('interruption.test.ts', 'two at once: one waits, and then deploys'),
      quick('packages/compose/test/lock.test.ts', 'of a run that lives is not taken, whatever waits'),
      quick(
        'actions/ephemeral-ssh-ingress/test/every-order/every-order.test.ts',
        'whatever the order of their calls, and with late reads, a live lease has its rule and nothing is left for',
      ),
    ],
  },
  {
    id: 'F30',
    what: 'Slack is away, slow, or too busy',
    runs: [
      {
        what: '429, then 500',
        scene: 'server',
        strike: slack({ kind: 'rate-limited', retryAfter: 1 }, { kind: 'server-error' }),
        ...main,
      },
      { what: 'reset', scene: 'server', strike: slack({ kind: 'reset' }), ...main },
    ],
    heldBy: [
      quick(
        'actions/slack-notify/test/dist.slow.test.ts',
        'ends within a minute when GitHub and Slack are both silent',
      ),
    ],
  },
  {
    id: 'T01',
    what: 'a host prints workflow commands at the start of a line',
    runs: [
      {
        what: 'pre-deploy prints them',
        scene: 'server',
        inputs: print(
          '::error::INJECTED',
          '  ::set-output name=result::INJECTED',
          '\\r::set-output name=serving-release::INJECTED',
          '::add-mask::v2',
          '::save-state name=record::{}',
        ),
        ...main,
        says: /INJECTED/,
      },
    ],
  },
  {
    id: 'T02',
    what: 'a host prints workflow commands in mid-line',
    runs: [
      {
        what: 'pre-deploy prints them',
        scene: 'server',
        inputs: print('ok ##[set-output name=result]INJECTED', 'ok ##[error]INJECTED', '##[add-mask]v2'),
        ...main,
        says: /INJECTED/,
      },
    ],
  },
  {
    id: 'T03',
    what: 'a host prints stop-commands before a secret is registered',
    runs: [
      {
        what: 'pre-deploy prints it',
        scene: 'server',
        inputs: print('::stop-commands::INJECTEDtoken'),
        ...main,
        says: /INJECTED/,
      },
    ],
  },
  {
    id: 'T04',
    what: 'output of a host that is kept holds delimiters and pairs',
    heldBy: [
      quick(
        'actions/compose-deploy/test/run.test.ts',
        'gives its stdout to a file, byte for byte, for its user alone, and shows its stderr',
      ),
    ],
  },
  {
    id: 'T05',
    what: 'a commit message that is a command',
    runs: [
      {
        what: 'for shells, Slack and the log',
        scene: 'server',
        text: { message: '$(touch $MARK) `touch $MARK`"; touch $MARK #\n::error::INJECTED\n\u202e' },
        ...main,
        says: /touch/,
      },
    ],
  },
  {
    id: 'T06',
    what: 'a ref or release name that is an option, a path or a command',
    runs: [
      { what: 'the branch', scene: 'server', text: { ref: 'refs/heads/a$(touch$IFS$MARK)' }, ...main },
      {
        what: 'rollback-to',
        scene: 'server',
        ...wrong({ image: '', 'rollback-to': '../../etc/cron.d/x' }),
        ...refused,
        says: /rollback-to/,
      },
    ],
  },
  {
    id: 'T07',
    what: 'a host or user that is an option or a command',
    runs: [
      {
        what: 'host',
        scene: 'server',
        ...wrong({ host: '-oProxyCommand=touch$IFS$MARK' }),
        ...refused,
        says: /host/,
      },
      {
        what: 'user',
        scene: 'server',
        ...wrong({ username: 'a$(touch$IFS$MARK)' }),
        ...refused,
        says: /username/,
      },
    ],
  },
  {
    id: 'T08',
    what: 'no host key is pinned',
    runs: [
      {
        what: 'known-hosts is empty',
        scene: 'server',
        ...wrong({ 'known-hosts': '' }),
        ...refused,
        says: /known-hosts/,
      },
    ],
  },
  {
    id: 'T09',
    what: 'the host key is another',
    runs: [
      {
        what: 'than the pinned one',
        scene: 'server',
        ...wrong({ 'known-hosts': '', 'host-fingerprint': `SHA256:${'A'.repeat(43)}` }),
        ...refused,
        says: /SHA256:A{43}/,
      },
    ],
  },
  {
    id: 'T10',
    what: 'the host offers a key of a type that is not pinned',
    heldBy: [
      quick(
        'packages/ssh/test/host-trust.test.ts',
        'asks the server for no key type but the pinned ones, and never for SHA-1',
      ),
      quick(
        'packages/ssh/test/host-trust.test.ts',
        'tells a changed key from one of a type that is not pinned',
      ),
    ],
  },
  {
    id: 'T11',
    what: 'a malicious jump host',
    heldBy: [quick('packages/ssh/test/connection.test.ts', 'goes through a jump host that has its own pin')],
  },
  {
    id: 'T12',
    what: 'the workspace and HOME hold configuration of tools',
    runs: [
      {
        what: 'of ssh, docker, npm and Compose',
        scene: 'server',
        before: [
          'mkdir -p ~/.ssh ~/.docker .ssh .docker .git/hooks',
          "printf 'Host *\\n  ProxyCommand touch $MARK\\n' | tee ~/.ssh/config >.ssh/config",
          'printf \'{"credsStore":"evil"}\' | tee ~/.docker/config.json >.docker/config.json',
          "printf 'services: {web: {command: touch $MARK}}\\n' >docker-compose.override.yml",
          "printf 'TAG=evil\\n' >.env",
          "printf 'node-options=--require=$MARK\\n' >.npmrc",
        ].join('\n'),
        ...main,
      },
    ],
  },
  {
    id: 'T13',
    what: 'an upload that holds links out, devices or pipes',
    heldBy: [
      quick(
        'actions/compose-deploy/test/upload.test.ts',
        'refuses what leads out of the workspace, and what was changed by hand',
      ),
      quick('packages/compose/test/files/workspace.test.ts', 'are no pipes, no odd names, and not none'),
    ],
  },
  {
    id: 'T14',
    what: 'a path on the host is a link of somebody else',
    heldBy: [
      quick(
        'actions/compose-deploy/test/run.test.ts',
        'writes to no place that a symbolic link leads to, and runs nothing then',
      ),
      real('bad-input.test.ts', 'a home directory of somebody else is refused before anything is contacted'),
    ],
  },
  {
    id: 'T15',
    what: 'an earlier step set variables that tools obey',
    runs: [
      {
        what: 'of git, ssh, docker, AWS and Node',
        scene: 'server',
        before: [
          "mkdir -p bin && printf '#!/bin/sh\\ntouch $MARK\\n' >bin/docker && cp bin/docker bin/ssh && cp bin/docker bin/git && chmod +x bin/*",
          'echo "$PWD/bin" >>"$GITHUB_PATH"',
          '{ echo GIT_SSH_COMMAND=touch $MARK; echo SSH_AUTH_SOCK=/nonexistent; echo DOCKER_HOST=tcp://127.0.0.1:1; echo AWS_PROFILE=evil; } >>"$GITHUB_ENV"',
        ].join('\n'),
        ...main,
      },
    ],
    heldBy: [
      quick(
        'actions/ephemeral-ssh-ingress/test/dist.test.ts',
        'when a later step has changed the environment',
      ),
    ],
  },
  {
    id: 'T16',
    what: 'an earlier step forged state and inputs',
    runs: [
      {
        what: 'STATE_record, STATE_isPost, INPUT_HOST',
        scene: 'server',
        before: [
          `echo 'STATE_record={"record":{"version":1,"done":false,"hosts":["203.0.113.9"]}}' >>"$GITHUB_ENV"`,
          'echo STATE_isPost=true >>"$GITHUB_ENV"',
          'echo INPUT_HOST=203.0.113.9 >>"$GITHUB_ENV"',
        ].join('\n'),
        ...main,
      },
    ],
  },
  {
    id: 'T17',
    what: 'what a child process is given',
    heldBy: [
      real('secrets.test.ts', 'no secret of a deploy is found where it must not be'),
      quick(
        'packages/compose/test/transfer.test.ts',
        'is given what it needs to find its daemon, and nothing of ours',
      ),
    ],
  },
  {
    id: 'T18',
    what: 'a key in any of its spellings',
    heldBy: [
      quick('packages/ssh/test/private-key.test.ts', 'a private key'),
      quick(
        'packages/action/test/inputs.test.ts',
        'masks a secret whole, by line, and as its base64 decodes',
      ),
    ],
  },
  {
    id: 'T19',
    what: 'step debugging',
    runs: [{ what: 'RUNNER_DEBUG=1', scene: 'server', debug: true, ...main }],
  },
  {
    id: 'T20',
    what: 'keys and known hosts on the disk of the runner',
    runs: [
      {
        what: 'main is killed while it is connected',
        scene: 'server',
        at: staging,
        strike: kill,
        ...main,
        main: stays,
      },
    ],
  },
  {
    id: 'T21',
    what: 'a run of a fork, or of pull_request_target',
    because:
      'whether a workflow may deploy is for its triggers and environment; an action given no secret refuses by the name of the input (T08, F09)',
  },
  {
    id: 'T22',
    what: 'OIDC with another audience, subject or account',
    because:
      "it is AWS's trust policy that refuses; the actions name the subject that it must take (ephemeral-ssh-ingress/test/dist.test.ts)",
  },
  {
    id: 'T23',
    what: 'an endpoint that redirects, floods or answers with something else',
    heldBy: [
      quick('actions/health-gate/test/hostile.test.ts', '%s'),
      quick(
        'actions/ephemeral-ssh-ingress/test/address.test.ts',
        'names a service that hangs, redirects, switches or floods',
      ),
    ],
  },
  {
    id: 'T24',
    what: 'text that mentions, links or breaks the layout in Slack',
    runs: [
      {
        what: 'message, branch and actor',
        scene: 'server',
        text: { message: '<!channel> <http://evil|click> *bold* ```', ref: 'refs/heads/<!channel>' },
        ...main,
        says: /evil/,
      },
    ],
    heldBy: [
      quick('actions/slack-notify/test/message.test.ts', 'is one that Slack takes, and lets no stranger act'),
    ],
  },
  {
    id: 'T25',
    what: 'outputs that hold a secret',
    runs: [
      {
        what: 'post-deploy prints the env file',
        scene: 'server',
        inputs: { deploy: { 'post-deploy': 'cat .env' } },
        ...main,
      },
    ],
  },
];
