/** What was so when a rehearsal had ended. */
export interface Facts {
  conclusion: string;
  /** How the workflow had to end. */
  expectedConclusion: string;
  /** The fault that was to strike, and found no moment to. */
  missed?: string;
  /** Rules of the security group, beyond those it began with. */
  openRules: string[];
  /** Hosts whose SSH port answers. */
  openPorts: string[];
  /** Per target: its state at the balancer, and the version its host serves. */
  targets: Array<{ id: string; state: string; version: string }>;
  registeredBefore: string[];
  expectedVersions: string[];
  requests: number;
  failed: number;
  firstFailure?: string;
  /** Without a load balancer: for how long requests failed, and how many of them after the workflow had ended. */
  downtime?: { ms: number; after: number };
  /** Where a secret showed: `log of deploy`, `summary of deploy`, `Slack`. */
  leaks: string[];
  slackMessages: number;
  /** What they say, without markup. */
  slackText: string;
  /** The job and step that failed first, as `deploy › Roll it out`, and the job's output `reason`; '' for none. */
  failedIn: string;
  failedBecause: string;
  /** A message to Slack is due. */
  tellsSlack: boolean;
  /** Words with which the failed job and Slack explain themselves; '' when they do not. */
  explanation: string;
  survivors: string[];
  /** What else lies about that a run should have cleared away, in words. */
  left?: string[];
}

export interface Guarantee {
  name: string;
  held: boolean;
  /** What was seen, in words. */
  seen: string;
}

/** The five guarantees, held against what was seen. */
export function judgeGuarantees(facts: Facts): Guarantee[] {
  const open = [
    ...facts.openRules.map((rule) => `rule ${rule}`),
    ...facts.openPorts.map((host) => `SSH on ${host}`),
  ];
  const registered = facts.targets.map(({ id }) => id).sort();
  const missing = facts.registeredBefore.filter((id) => !registered.includes(id));
  const sick = facts.targets.filter(({ state }) => state !== 'healthy');
  const versions = [...new Set(facts.targets.map(({ version }) => version))];
  const wrong = facts.targets.filter(({ version }) => !facts.expectedVersions.includes(version));
  const broken = [
    ...missing.map((id) => `${id} is not registered`),
    ...sick.map(({ id, state }) => `${id} is ${state}`),
    ...wrong.map(
      ({ id, version }) => `${id} serves ${version}, expected ${facts.expectedVersions.join(' or ')}`,
    ),
    ...(versions.length > 1 ? [`${versions.length} versions serve: ${versions.join(', ')}`] : []),
    ...facts.survivors.map((process) => `a process was left: ${process}`),
    ...(facts.left ?? []).map((what) => `${what} was left`),
  ];
  const told = facts.conclusion === 'success' || facts.explanation !== '';
  const untold = [
    ...(facts.missed ? [`the fault never struck (${facts.missed}): the workflow did not come that far`] : []),
    ...(facts.conclusion === facts.expectedConclusion
      ? []
      : [
          `the workflow ended as ${facts.conclusion}, expected ${facts.expectedConclusion}${facts.explanation ? `: ${facts.explanation}` : ''}`,
        ]),
    ...(facts.tellsSlack && facts.slackMessages !== 1
      ? [`${facts.slackMessages} messages reached Slack, expected 1`]
      : []),
    ...[facts.failedIn, facts.failedBecause]
      .filter((words) => facts.tellsSlack && !facts.slackText.includes(words))
      .map((words) => `Slack does not say "${words}"`),
    ...(told ? [] : ['nothing says why it failed']),
  ];
  return [
    guarantee('Nothing left open', open, 'no rule, no port'),
    guarantee(
      'Nothing left broken',
      broken,
      `${registered.length} of ${facts.registeredBefore.length} targets healthy, all serve ${versions[0]}`,
    ),
    nothingDropped(facts),
    guarantee(
      'Nothing leaked',
      facts.leaks.map((place) => `a secret shows in the ${place}`),
      'no secret in log, summary, output or Slack',
    ),
    guarantee('Nobody guesses', untold, facts.explanation || 'log, summary and Slack agree'),
  ];
}

/** On one server a restart is a pause, which nothing promises to avoid: it is told, and must end with the deploy. */
function nothingDropped({ requests, failed, firstFailure, downtime }: Facts): Guarantee {
  const first = firstFailure ? `, the first: ${firstFailure}` : '';
  const seconds = ((downtime?.ms ?? 0) / 1000).toFixed(1);
  const dropped = downtime ? downtime.after : failed;
  return guarantee(
    'Nothing dropped',
    requests > 0 && dropped === 0
      ? []
      : [
          `${dropped} of ${requests} requests failed${downtime ? ' after the workflow had ended' : ''}${first}`,
        ],
    failed === 0
      ? `${requests} requests, 0 failed`
      : `not promised on one server: ${failed} of ${requests} requests failed while containers were replaced, the first and the last ${seconds} s apart`,
  );
}

const guarantee = (name: string, problems: string[], good: string): Guarantee => ({
  name,
  held: problems.length === 0,
  seen: problems.length === 0 ? good : problems.join('; '),
});
