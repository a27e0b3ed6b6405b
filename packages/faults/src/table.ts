import { type Disturbance, type Ending, ends, type FaultCase } from './case.ts';
import { killPoints, rollKillPoints, watching } from './kill-points.ts';
import {
  aws,
  cancel,
  cutSsh,
  denied,
  docker,
  fileCommandGone,
  kill,
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

/** What the docker command says while its daemon is away. */
const noDaemon = 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock';

/** And when the disk is full. */
const noSpace = 'failed to register layer: write /var/lib/docker/tmp: no space left on device';

type Harm = Omit<Disturbance, 'what' | 'scene'>;
const onServer = (what: string, harm: Harm): Disturbance => ({ what, scene: 'server', ...harm });
const onFleet = (what: string, harm: Harm): Disturbance => ({ what, scene: 'fleet', ...harm });

const stays = ends('failure', 'old');
const either = ends('failure', 'one');

/** Why a fault is tried in main alone. */
const noPost = {
  cancel: 'the runner tells post nothing of a cancel: F07',
  kill: 'post itself is killed in a case of its own: F04, F05',
  early: 'main ends before it changed anything, and leaves nothing to post',
  opens: 'post opens no rule',
  stages: 'post stages nothing; it is met while it proves, below',
  saves: 'no post saves state; that of a roll, which used to, is tried below',
  drains: 'post is met while it goes back, above',
  hooks: 'hooks run in main alone',
  ill: 'post proves the release before, never the new one: F28 has that one fail',
  pulls: 'post goes back to images that the host has, and asks no registry',
  tells: 'no post tells Slack; that it is told of a post that had to go back is tried above',
  text: 'post sends no text anywhere but to the log, and the job that tells Slack is the same',
  files: 'post reads no file of the workspace or of HOME that main does not read',
};
type NoPost = keyof typeof noPost;
const inMain = (why: NoPost, ending: Ending): Harm => ({
  only: { phase: 'main', because: noPost[why] },
  main: ending,
});
const main = (why: NoPost) => inMain(why, ends('success', 'new'));
const refused = (why: NoPost) => inMain(why, stays);
const cancelled = (serves: 'old' | 'one') => inMain('cancel', ends('cancelled', serves));
const inPost = (because: string, ending: Ending = stays): Harm => ({
  only: { phase: 'post', because },
  post: ending,
});
/** Ill in the re-run as well, which deploys the same release. */
const illAgain: Harm = { ...refused('ill'), again: stays };
const loses: Harm = { loses: true, ...inMain('kill', ends('failure|cancelled', 'one')) };
const deploy = (line: RegExp) => ({ step: 'deploy', line }) as const;
const staging = deploy(/Stage on|staging \d/);
const staged = deploy(/web: recreate, image/);
const switched = deploy(/Container sample-web-1 {2}Started/);
const proving = deploy(watching);
const goingBack = { atInPost: deploy(/Container sample-web-1 {2}Recreate$/) };
const puttingBack = { atInPost: deploy(/^registering i-/) };
const wrong = (inputs: Record<string, string>) => ({ wrongInputs: { deploy: inputs } });
const print = (...lines: string[]) => ({
  deploy: { 'pre-deploy': lines.map((line) => `printf '%b\\n' '${line}'`).join('\n') },
});

export const table: readonly FaultCase[] = [
  {
    id: 'F01',
    what: 'SIGINT before any remote change',
    runs: [
      onServer('cancelled before staging', {
        at: deploy(/^Release /),
        strike: cancel,
        ...cancelled('old'),
      }),
    ],
  },
  {
    id: 'F02',
    what: 'SIGINT while the release is brought to the host',
    runs: [
      onServer('cancelled while images are pulled', {
        at: deploy(/pulling/),
        strike: cancel,
        ...cancelled('old'),
      }),
    ],
    heldBy: [
      'actions/compose-deploy/test/upload.test.ts › is made good by post when it is cancelled after the switch',
    ],
  },
  {
    id: 'F03',
    what: 'SIGINT between switch and proof',
    runs: [
      onServer('cancelled once switched', { at: switched, strike: cancel, ...cancelled('one') }),
      onFleet('cancelled in mid-roll', {
        at: deploy(/^switching i-/),
        strike: cancel,
        ...cancelled('one'),
      }),
    ],
  },
  {
    id: 'F04',
    what: 'SIGKILL at each logged phase',
    runs: [
      ...killPoints.map(({ what, step, line, mute }) =>
        onServer(what, { at: { step, line }, strike: kill, mute, ...inMain('kill', either) }),
      ),
      onServer('post is killed as well, and the next run is all', {
        ...goingBack,
        strike: kill,
        loses: true,
        ...inPost('killed in main at each line above', either),
      }),
      ...rollKillPoints.map(({ what, line, mendedByReRun }) =>
        onFleet(what, { at: deploy(line), strike: kill, mendedByReRun, ...inMain('kill', either) }),
      ),
    ],
    heldBy: [
      'actions/rolling-alb-deploy/test/fleet-killed.slow.test.ts › $what in $phase: the membership is restored, and nobody notices',
      'actions/ephemeral-ssh-ingress/test/killed-process.slow.test.ts › main killed when %s %s, and %s: nothing of ours is open and nothing of others touched',
    ],
  },
  {
    id: 'F05',
    what: 'the runner is lost, and no post runs',
    runs: [
      ...killPoints
        .filter(({ step }) => step === 'deploy')
        .map(({ what, step, line }) =>
          onServer(what.replace('killed', 'lost'), { at: { step, line }, strike: lose, ...loses }),
        ),
      onServer('shut down while it is watched', { at: proving, strike: shutDown, ...loses }),
      onFleet('lost while post puts back what main left', {
        ...puttingBack,
        strike: lose,
        loses: true,
        ...inPost('the test below loses main at each step of a roll', either),
      }),
    ],
    heldBy: [
      'actions/rolling-alb-deploy/test/fleet-lost.slow.test.ts › $what in $phase: the next run restores the membership',
    ],
  },
  {
    id: 'F06',
    what: 'timeout-minutes fires while health is waited for',
    runs: [
      onServer('the release never answers its health check', {
        sick: 'hang',
        timeoutMinutes: 0.3,
        inputs: { deploy: { 'health-timeout': '60s' } },
        ...illAgain,
        says: /has timed out after/,
      }),
    ],
  },
  {
    id: 'F07',
    what: 'the run is cancelled while post runs',
    runs: [
      onServer('cancelled in post', {
        strike: cancel,
        ...inPost('F01 to F03 cancel main', ends('failure|cancelled', 'old')),
      }),
      onFleet('cancelled while post puts back what main left', {
        ...goingBack,
        strike: cancel,
        ...inPost('F03 cancels main', ends('failure|cancelled', 'old')),
      }),
    ],
    heldBy: ['packages/runner/test/job.test.ts › does not disturb a post'],
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
    runs: [onServer('no host is given', { ...wrong({ host: '' }), ...refused('early'), says: /host/ })],
  },
  {
    id: 'F10',
    what: 'what post would clean up is gone already',
    runs: [
      onServer('somebody took the rule away', {
        at: proving,
        atInPost: proving,
        strike: ruleGone,
      }),
    ],
  },
  {
    id: 'F11',
    what: 'the connection is cut in the middle of a command',
    runs: [
      onServer('reset at the switch', { at: switched, ...goingBack, strike: cutSsh }),
      onFleet('reset while a target is out', {
        at: deploy(/^switching i-/),
        ...goingBack,
        strike: cutSsh,
      }),
    ],
    heldBy: [
      'packages/ssh/test/silence.slow.test.ts › a connection that goes silent is found lost within about half a minute, and made anew',
      'test/real/outage.test.ts › ends with a restart of sshd in the middle of a migration lands',
    ],
  },
  {
    id: 'F12',
    what: 'SSH cannot be reached, or does not let in',
    runs: [
      // It gets in again and goes on, or ends before it changed anything.
      onServer('shut until it was refused three times', {
        at: staging,
        strike: shutOut(3),
        main: ends('success|failure', 'one'),
      }),
      onServer('the key is another', {
        ...wrong({ username: 'nobody' }),
        ...refused('early'),
        says: /nobody/,
      }),
    ],
    heldBy: [
      'packages/ssh/test/connection.test.ts › tries again while nothing listens yet',
      'packages/ssh/test/connection.test.ts › does not try a refused key again',
    ],
  },
  {
    id: 'F13',
    what: 'a remote command ends with 255 or by a signal, its work half done',
    runs: [
      onServer('up answers 255', {
        at: staged,
        strike: docker({ command: 'compose', holding: ' up ', message: 'Killed', code: 255, times: 1 }),
        main: stays,
        post: either,
        says: /Killed/,
      }),
    ],
    heldBy: [
      'packages/compose/test/step.test.ts › whose runner is killed has no exit code, which is no success, and it is not run again',
      'packages/ssh/test/connection.test.ts › is a failure when the host closes it without an exit code',
    ],
  },
  {
    id: 'F14',
    what: 'a remote command waits for an answer on stdin',
    runs: [
      onServer('pre-deploy asks', {
        ...wrong({ 'pre-deploy': 'read -r answer || { echo "nobody answers" >&2; exit 3; }' }),
        ...refused('hooks'),
        says: /nobody answers/,
      }),
    ],
    heldBy: [
      'packages/compose/test/step.test.ts › reads nothing, ends at the first line that fails, and is its own session',
    ],
  },
  {
    id: 'F15',
    what: 'names that do not resolve, or whose first address is dead',
    heldBy: ['packages/ssh/test/dial.test.ts › that may pass by itself is tried again: %s'],
  },
  {
    id: 'F16',
    what: 'AWS throttles or fails, on reads and on changes',
    runs: [
      onServer('opening is throttled twice, reads fail once', {
        strike: aws(
          { kind: 'throttle', match: { action: 'AuthorizeSecurityGroupIngress', times: 2 } },
          { kind: '5xx', match: { action: 'DescribeSecurityGroupRules' } },
        ),
        ...main('opens'),
      }),
      onServer('closing is throttled twice, reads fail once', {
        strike: aws(
          { kind: 'throttle', match: { action: 'RevokeSecurityGroupIngress', dryRun: false, times: 2 } },
          { kind: '5xx', match: { action: 'DescribeSecurityGroupRules' } },
        ),
      }),
      onFleet('registering is throttled', {
        strike: aws({ kind: 'throttle', match: { action: 'RegisterTargets', times: 4 } }),
      }),
    ],
    heldBy: [
      'actions/rolling-alb-deploy/test/fleet-faults.slow.test.ts › membership ends as it began, and the release is rolled',
    ],
  },
  {
    id: 'F17',
    what: 'AWS did it, and the answer is lost',
    runs: [
      onServer('of opening', {
        strike: aws({
          kind: 'lost-response',
          match: { action: 'AuthorizeSecurityGroupIngress', dryRun: false },
        }),
        ...main('opens'),
      }),
      onServer('of closing', {
        strike: aws({
          kind: 'lost-response',
          match: { action: 'RevokeSecurityGroupIngress', dryRun: false },
        }),
      }),
      onFleet('of registering', {
        strike: aws({ kind: 'lost-response', match: { action: 'RegisterTargets' } }),
      }),
    ],
  },
  {
    id: 'F18',
    what: 'credentials expire on the way',
    runs: [
      onServer('of every session, between main and post', { at: proving, strike: sessionsExpire }),
      onFleet('of every session, while a target is out', {
        at: deploy(/^switching i-/),
        ...goingBack,
        strike: sessionsExpire,
      }),
      onFleet('of every session, while a target drains', {
        at: deploy(/^draining i-/),
        strike: sessionsExpire,
        ...main('drains'),
      }),
    ],
    heldBy: [
      'actions/ephemeral-ssh-ingress/test/dist.test.ts › takes the role anew in post, where main took it',
      'actions/rolling-alb-deploy/test/fleet-ten.slow.test.ts › no request is lost, and credentials are renewed',
    ],
  },
  {
    id: 'F19',
    what: 'one call of a sequence is denied',
    runs: [
      onServer('opening', {
        strike: denied('AuthorizeSecurityGroupIngress'),
        ...refused('opens'),
        says: /ec2:AuthorizeSecurityGroupIngress/,
      }),
      onServer('closing', {
        strike: denied('RevokeSecurityGroupIngress'),
        mendedByReRun: true,
        ...inPost('main asks beforehand whether it may close: the test below'),
        says: /ec2:RevokeSecurityGroupIngress/,
      }),
      onFleet('deregistering', {
        strike: denied('DeregisterTargets'),
        ...refused('early'),
        says: /elasticloadbalancing:DeregisterTargets/,
      }),
      onFleet('registering', {
        strike: denied('RegisterTargets'),
        mendedByReRun: true,
        ...inPost('main asks beforehand, as above', either),
        says: /elasticloadbalancing:RegisterTargets/,
      }),
    ],
    heldBy: [
      'actions/ephemeral-ssh-ingress/test/ingress.test.ts › names what is still open when it may not close',
    ],
  },
  {
    id: 'F20',
    what: 'clocks are 20 minutes apart',
    runs: [
      onServer("AWS's is ahead", { strike: skewed(1_200_000) }),
      onServer("AWS's is behind", { strike: skewed(-1_200_000) }),
    ],
  },
  {
    id: 'F21',
    what: 'registered, and never healthy; one of several is not registered',
    runs: [onFleet('the release is ill behind the balancer', { sick: '503', ...illAgain, says: /503/ })],
    heldBy: [
      'actions/rolling-alb-deploy/test/fleet.test.ts › the next run puts back who was left out, from the record of the host that stayed',
    ],
  },
  {
    id: 'F22',
    what: 'a drain that does not end',
    heldBy: [
      'actions/rolling-alb-deploy/test/fleet-load.slow.test.ts › but WebSockets that outlive the delay are cut, and reported',
    ],
  },
  {
    id: 'F23',
    what: "the host's disk is full",
    runs: [
      onServer('for the image', {
        strike: docker({ command: 'pull', message: noSpace, times: 1 }),
        ...refused('pulls'),
        says: /no space left on device/,
      }),
      onServer('for the container', {
        strike: docker({ command: 'compose', holding: ' up ', message: noSpace, times: 1 }),
        main: stays,
        post: either,
        says: /no space left on device/,
      }),
    ],
    heldBy: [
      'test/real/full-disk.test.ts › on a host whose disk is full',
      'packages/compose/test/stage.test.ts › named services must be in the file, and the disk must not be full',
    ],
  },
  {
    id: 'F24',
    what: "the runner's files cannot be written",
    runs: [
      onServer('the state', {
        at: { step: 'deploy' },
        strike: fileCommandGone('save_state'),
        ...refused('saves'),
      }),
      onFleet('the state', {
        strike: fileCommandGone('save_state'),
        ...inPost('main of either action saves it the same way, as above'),
      }),
      onServer('the summary', {
        at: { step: 'deploy' },
        strike: fileCommandGone('step_summary'),
        says: /the job summary could not be written/,
      }),
    ],
  },
  {
    id: 'F25',
    what: 'the Docker daemon is away for a moment',
    runs: [
      onServer('while staging', {
        at: staging,
        strike: docker({ command: 'compose', message: noDaemon, times: 1 }),
        ...inMain('stages', ends('success|failure', 'one')),
        says: /Docker daemon/,
      }),
      onServer('while proving', {
        at: proving,
        atInPost: proving,
        strike: docker({ command: 'inspect', message: noDaemon, times: 2 }),
        says: /docker does not answer; waiting until it does/,
      }),
    ],
    heldBy: [
      'test/real/files.test.ts › is made good by the next run when the host restarts in the middle of the switch',
    ],
  },
  {
    id: 'F26',
    what: 'the registry refuses, lacks, or gives other bytes',
    runs: [
      onServer('manifest missing', {
        strike: registry({ on: 'manifest', kind: 'missing' }),
        ...refused('pulls'),
      }),
      onServer('500 of a layer', { strike: registry({ on: 'blob', kind: 'error' }), ...refused('pulls') }),
      onServer('other bytes than the digest says', {
        strike: registry({ on: 'blob', kind: 'corrupt' }),
        ...refused('pulls'),
      }),
    ],
  },
  {
    id: 'F27',
    what: 'the release is ill',
    runs: [
      onServer('crashes at start', { sick: 'crash', ...illAgain, says: /cannot start/ }),
      onServer('crashes after a second', { sick: 'crash-later', ...illAgain }),
      onServer('answers 503', { sick: '503', ...illAgain, says: /503/ }),
      onServer('has no database, which the gate alone sees', {
        sick: 'database',
        ...illAgain,
        says: /database/,
      }),
    ],
  },
  {
    id: 'F28',
    what: 'going back fails, too',
    runs: [
      onServer('up fails when going back', {
        sick: '503',
        at: deploy(/Container sample-worker-1 {2}Running/),
        strike: docker({ command: 'compose', holding: ' up ', message: noSpace }),
        mendedByReRun: true,
        ...inMain('ill', either),
        again: stays,
        says: /no space left on device/,
      }),
      onServer('up fails when post goes back', {
        strike: docker({ command: 'compose', holding: ' up ', message: noSpace }),
        mendedByReRun: true,
        ...inPost('main, above, goes back from a release that is ill', either),
        says: /no space left on device/,
      }),
    ],
    heldBy: [
      'actions/rolling-alb-deploy/test/run-roll.test.ts › registers a host even when its old release does not come back, and says so',
    ],
  },
  {
    id: 'F29',
    what: 'two runs at once',
    heldBy: [
      'test/real/interruption.test.ts › two at once: one waits, and then deploys',
      'packages/compose/test/lock.test.ts › of a run that lives is not taken, whatever waits',
      'actions/ephemeral-ssh-ingress/test/every-order/every-order.test.ts › whatever the order of their calls, and with late reads, a live lease has its rule and nothing is left for',
    ],
  },
  {
    id: 'F30',
    what: 'Slack is away, slow, or too busy',
    runs: [
      onServer('429, then 500', {
        strike: slack({ kind: 'rate-limited', retryAfter: 1 }, { kind: 'server-error' }),
      }),
      onServer('reset', { strike: slack({ kind: 'reset' }), ...main('tells') }),
    ],
    heldBy: [
      'actions/slack-notify/test/dist.slow.test.ts › ends within a minute when GitHub and Slack are both silent',
    ],
  },
  {
    id: 'T01',
    what: 'a host prints workflow commands at the start of a line',
    runs: [
      onServer('pre-deploy prints them', {
        inputs: print(
          '::error::INJECTED',
          '  ::set-output name=result::INJECTED',
          '\\r::set-output name=serving-release::INJECTED',
          '::add-mask::v2',
          '::save-state name=record::{}',
        ),
        ...main('hooks'),
        says: /INJECTED/,
      }),
      onServer('docker prints them when post goes back', {
        strike: docker({
          command: 'compose',
          holding: ' up ',
          message: '::error::INJECTED\n::set-output name=result::INJECTED\nok ##[error]INJECTED',
          times: 1,
        }),
        ...inPost('main is given them by hooks, above', either),
        says: /INJECTED/,
      }),
    ],
  },
  {
    id: 'T02',
    what: 'a host prints workflow commands in mid-line',
    runs: [
      onServer('pre-deploy prints them', {
        inputs: print('ok ##[set-output name=result]INJECTED', 'ok ##[error]INJECTED', '##[add-mask]v2'),
        ...main('hooks'),
        says: /INJECTED/,
      }),
    ],
  },
  {
    id: 'T03',
    what: 'a host prints stop-commands before a secret is registered',
    runs: [
      onServer('pre-deploy prints it', {
        inputs: print('::stop-commands::INJECTEDtoken'),
        ...main('hooks'),
        says: /INJECTED/,
      }),
    ],
  },
  {
    id: 'T04',
    what: 'output of a host that is kept holds delimiters and pairs',
    heldBy: [
      'actions/compose-deploy/test/run.test.ts › gives its stdout to a file, byte for byte, for its user alone, and shows its stderr',
    ],
  },
  {
    id: 'T05',
    what: 'a commit message that is a command',
    runs: [
      onServer('for shells, Slack and the log', {
        text: { message: '$(touch $MARK) `touch $MARK`"; touch $MARK #\n::error::INJECTED\n\u202e' },
        ...main('text'),
        says: /touch/,
      }),
    ],
  },
  {
    id: 'T06',
    what: 'a ref or release name that is an option, a path or a command',
    runs: [
      onServer('the branch', { text: { ref: 'refs/heads/a$(touch$IFS$MARK)' }, ...main('text') }),
      onServer('rollback-to', {
        ...wrong({ image: '', 'rollback-to': '../../etc/cron.d/x' }),
        ...refused('early'),
        says: /rollback-to/,
      }),
    ],
  },
  {
    id: 'T07',
    what: 'a host or user that is an option or a command',
    runs: [
      onServer('host', {
        ...wrong({ host: '-oProxyCommand=touch$IFS$MARK' }),
        ...refused('early'),
        says: /host/,
      }),
      onServer('user', {
        ...wrong({ username: 'a$(touch$IFS$MARK)' }),
        ...refused('early'),
        says: /username/,
      }),
    ],
  },
  {
    id: 'T08',
    what: 'no host key is pinned',
    runs: [
      onServer('known-hosts is empty', {
        ...wrong({ 'known-hosts': '' }),
        ...refused('early'),
        says: /known-hosts/,
      }),
    ],
  },
  {
    id: 'T09',
    what: 'the host key is another',
    runs: [
      onServer('than the pinned one', {
        ...wrong({ 'known-hosts': '', 'host-fingerprint': `SHA256:${'A'.repeat(43)}` }),
        ...refused('early'),
        says: /SHA256:A{43}/,
      }),
    ],
  },
  {
    id: 'T10',
    what: 'the host offers a key of a type that is not pinned',
    heldBy: [
      'packages/ssh/test/host-trust.test.ts › asks the server for no key type but the pinned ones, and never for SHA-1',
      'packages/ssh/test/host-trust.test.ts › tells a changed key from one of a type that is not pinned',
    ],
  },
  {
    id: 'T11',
    what: 'a malicious jump host',
    heldBy: ['packages/ssh/test/connection.test.ts › goes through a jump host that has its own pin'],
  },
  {
    id: 'T12',
    what: 'the workspace and HOME hold configuration of tools',
    runs: [
      onServer('of ssh, docker, npm and Compose', {
        before: [
          'mkdir -p ~/.ssh ~/.docker .ssh .docker .git/hooks',
          "printf 'Host *\\n  ProxyCommand touch $MARK\\n' | tee ~/.ssh/config >.ssh/config",
          'printf \'{"credsStore":"evil"}\' | tee ~/.docker/config.json >.docker/config.json',
          "printf 'services: {web: {command: touch $MARK}}\\n' >docker-compose.override.yml",
          "printf 'TAG=evil\\n' >.env",
          "printf 'node-options=--require=$MARK\\n' >.npmrc",
        ].join('\n'),
        ...main('files'),
      }),
    ],
  },
  {
    id: 'T13',
    what: 'an upload that holds links out, devices or pipes',
    heldBy: [
      'actions/compose-deploy/test/upload.test.ts › refuses what leads out of the workspace, and what was changed by hand',
      'packages/compose/test/files/workspace.test.ts › are no pipes, no odd names, and not none',
    ],
  },
  {
    id: 'T14',
    what: 'a path on the host is a link of somebody else',
    heldBy: [
      'actions/compose-deploy/test/run.test.ts › writes to no place that a symbolic link leads to, and runs nothing then',
      'test/real/bad-input.test.ts › a home directory of somebody else is refused before anything is contacted',
    ],
  },
  {
    id: 'T15',
    what: 'an earlier step set variables that tools obey',
    runs: [
      onServer('of git, ssh, docker, AWS and Node', {
        before: [
          "mkdir -p bin && printf '#!/bin/sh\\ntouch $MARK\\n' >bin/docker && cp bin/docker bin/ssh && cp bin/docker bin/git && chmod +x bin/*",
          'echo "$PWD/bin" >>"$GITHUB_PATH"',
          '{ echo GIT_SSH_COMMAND=touch $MARK; echo SSH_AUTH_SOCK=/nonexistent; echo DOCKER_HOST=tcp://127.0.0.1:1; echo AWS_PROFILE=evil; } >>"$GITHUB_ENV"',
        ].join('\n'),
      }),
    ],
    heldBy: [
      'actions/ephemeral-ssh-ingress/test/dist.test.ts › when a later step has changed the environment',
    ],
  },
  {
    id: 'T16',
    what: 'an earlier step forged state and inputs',
    runs: [
      onServer('STATE_record, STATE_isPost, INPUT_HOST', {
        before: [
          `echo 'STATE_record={"record":{"version":1,"done":false,"hosts":["203.0.113.9"]}}' >>"$GITHUB_ENV"`,
          'echo STATE_isPost=true >>"$GITHUB_ENV"',
          'echo INPUT_HOST=203.0.113.9 >>"$GITHUB_ENV"',
        ].join('\n'),
      }),
    ],
  },
  {
    id: 'T17',
    what: 'what a child process is given',
    heldBy: [
      'test/real/secrets.test.ts › no secret of a deploy is found where it must not be',
      'packages/compose/test/transfer.test.ts › is given what it needs to find its daemon, and nothing of ours',
    ],
  },
  {
    id: 'T18',
    what: 'a key in any of its spellings',
    heldBy: [
      'packages/ssh/test/private-key.test.ts › a private key',
      'packages/action/test/inputs.test.ts › masks a secret whole, by line, and as its base64 decodes',
    ],
  },
  {
    id: 'T19',
    what: 'step debugging',
    runs: [onServer('RUNNER_DEBUG=1', { debug: true })],
  },
  {
    id: 'T20',
    what: 'keys and known hosts on the disk of the runner',
    runs: [
      onServer('main is killed while it is connected', { at: staging, strike: kill, ...refused('kill') }),
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
      'actions/health-gate/test/hostile.test.ts › %s',
      'actions/ephemeral-ssh-ingress/test/address.test.ts › names a service that hangs, redirects, switches or floods',
    ],
  },
  {
    id: 'T24',
    what: 'text that mentions, links or breaks the layout in Slack',
    runs: [
      onServer('message, branch and actor', {
        text: { message: '<!channel> <http://evil|click> *bold* ```', ref: 'refs/heads/<!channel>' },
        says: /evil/,
      }),
    ],
    heldBy: ['actions/slack-notify/test/message.test.ts › is one that Slack takes, and lets no stranger act'],
  },
  {
    id: 'T25',
    what: 'outputs that hold a secret',
    runs: [
      onServer('post-deploy prints the env file', {
        inputs: { deploy: { 'post-deploy': 'cat .env' } },
        ...main('hooks'),
      }),
    ],
  },
];
