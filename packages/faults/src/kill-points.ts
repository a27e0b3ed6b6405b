import type { StepName } from './workflow.ts';

/** A release is switched to, and not yet proven. */
export const watching = /: healthy; watching it for/;

/** What a deploy to one server logs, in this order: at each line its process is killed once. */
export const killPoints: ReadonlyArray<{ what: string; step: StepName; line: RegExp; mute?: boolean }> = [
  { what: 'killed once the port is open', step: 'ingress', line: /\(created\)/ },
  { what: 'killed before it connects', step: 'deploy', line: /^Release / },
  { what: 'killed when staging begins', step: 'deploy', line: /Stage on/ },
  { what: 'killed once the old release is recorded', step: 'deploy', line: /recorded what runs now/ },
  { what: 'killed while images are pulled', step: 'deploy', line: /: pulling/ },
  { what: 'killed once the changes are known', step: 'deploy', line: /web: recreate, image/ },
  { what: 'killed when the switch begins', step: 'deploy', line: /Deploy to / },
  {
    what: 'killed while the container is recreated',
    step: 'deploy',
    line: /Container sample-web-1 {2}Recreate$/,
  },
  { what: 'killed once the container is started', step: 'deploy', line: /Container sample-web-1 {2}Started/ },
  { what: 'killed once all containers run', step: 'deploy', line: /Container sample-worker-1 {2}Running/ },
  { what: 'killed while it is watched', step: 'deploy', line: watching },
  { what: 'killed once it is proven', step: 'deploy', line: / serves .*, verified/ },
  { what: 'killed while the gate asks', step: 'gate', line: /asking every/, mute: true },
];

/** And what a roll logs. A host that is done stays so when main is killed in the second batch: then two releases serve. */
export const rollKillPoints: ReadonlyArray<{ what: string; line: RegExp; mendedByReRun?: boolean }> = [
  { what: 'killed while a target is taken out', line: /^taking out/ },
  { what: 'killed while draining', line: /^draining/ },
  { what: 'killed once the container of a target is started', line: /Container sample-web-1 {2}Started/ },
  { what: 'killed while a target is registered', line: /^registering i-/ },
  { what: 'killed when the second batch begins', line: /^batch 2 of 2/, mendedByReRun: true },
];
