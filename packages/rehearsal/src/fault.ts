import type { Lab } from '@lockkeeper/lab';

/** What a step's line or process tells a fault that waits for its moment. */
export interface Moment {
  lab: Lab;
  /** The step's name. */
  step: string;
  line: string;
  /** The step's own process, while it runs. */
  pid?: number;
}

export interface Fault {
  /** For the usage and the report. */
  what: string;
  /** How the new image is ill, as SICK of the lab's sample app. */
  sick?: string;
  /** Before the workflow starts. */
  prepare?: (lab: Lab) => void;
  /** Once, at the first line of an action's step that matches. */
  at?: { line: RegExp; strike: (moment: Moment) => void };
  /** Variables without which it could not be seen. */
  vars?: Record<string, string>;
  /** It needs the lab's load balancer. */
  balancer?: true;
  /** How the workflow must end. */
  conclusion: 'failure' | 'success';
  /** Which release must serve at the end; `one` where either may, but the same everywhere. */
  serves: 'old' | 'new' | 'one';
}

/** Everything a rehearsal can be told to have go wrong. */
export const faults = {
  'bad-image': {
    what: 'the new image crashes at start',
    sick: 'crash',
    conclusion: 'failure',
    serves: 'old',
  },
  'sick-release': {
    what: 'the new release answers its health check with 503',
    sick: '503',
    conclusion: 'failure',
    serves: 'old',
  },
  'no-database': {
    what: 'the new release calls itself healthy without its database, which only the gate looks at',
    sick: 'database',
    conclusion: 'failure',
    serves: 'old',
  },
  kill: {
    what: 'the process of rolling-alb-deploy is killed (-9) while its first target drains',
    at: {
      line: /draining/,
      strike: ({ pid }) => {
        if (pid !== undefined) process.kill(pid, 'SIGKILL');
      },
    },
    conclusion: 'failure',
    serves: 'old',
  },
  'drop-ssh': {
    what: 'every SSH connection is reset while the first target drains',
    at: {
      line: /draining/,
      strike: ({ lab }) => {
        for (const { host } of lab.hosts) host.dropConnections('reset');
      },
    },
    conclusion: 'success',
    serves: 'new',
  },
  deny: {
    what: 'the role may not deregister targets',
    prepare: (lab) => {
      const role = lab.account.roles.get(lab.roleArn)!;
      role.policy = {
        ...role.policy,
        Statement: [
          ...[role.policy.Statement].flat(),
          { Effect: 'Deny', Action: 'elasticloadbalancing:DeregisterTargets', Resource: '*' },
        ],
      };
    },
    conclusion: 'failure',
    serves: 'old',
  },
  slow: {
    what: 'every answer that comes by the load balancer takes 3.5 s more, from when a gate soaks on',
    balancer: true,
    // So that two at a time make the 20 answers that a limit is judged by.
    vars: { WATCH_FOR: '40s' },
    at: { line: /now soaking/, strike: ({ lab }) => lab.balancer.slowBy(3500) },
    // Nothing is broken but a limit: only a workflow that watches for it can tell.
    conclusion: 'failure',
    serves: 'one',
  },
} satisfies Record<string, Fault>;

export type FaultName = keyof typeof faults;
