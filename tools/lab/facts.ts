import { randomUUID } from 'node:crypto';

/** What somebody who deploys into a lab has to know. */
export interface LabFacts {
  /** As the repository's variables would be named: AWS_REGION, TARGET_GROUP_ARN … */
  vars: Record<string, string>;
  secrets: Record<string, string>;
  /** The environment of whoever calls AWS: where the lab answers, and the keys of its user. */
  env: Record<string, string>;
}

/** What stands open, serves and was said in a lab, right now. */
export interface LabState {
  /** Rules of the security group that were not there when the lab was opened: `sgr-… (20.102.35.7/32)`. */
  rules: string[];
  /** `address:port` of every host whose SSH port answers. */
  openPorts: string[];
  /** In rotation when the lab was opened. */
  expectedTargets: string[];
  targets: Array<{ id: string; state: string; version: string }>;
  /** Slack's messages as their reader sees them. */
  slack: string[];
}

/** What is not as it was when the lab was opened, apart from the release: one line each, none when all is well. */
export function leftOpen({ rules, openPorts, expectedTargets, targets }: LabState): string[] {
  const versions = [...new Set(targets.map(({ version }) => version))];
  const listed = (id: string) => targets.some((target) => target.id === id);
  return [
    ...rules.map((rule) => `the rule ${rule} is still in the security group`),
    ...openPorts.map((place) => `${place} (SSH) still answers`),
    ...expectedTargets.filter((id) => !listed(id)).map((id) => `${id} is out of the target group`),
    ...targets
      .filter(({ id }) => !expectedTargets.includes(id))
      .map(({ id }) => `${id} is in the target group and was not`),
    ...targets
      .filter(({ state }) => state !== 'healthy')
      .map(({ id, state }) => `${id} is ${state}, not healthy`),
    ...(versions.length > 1 ? [`the targets serve different versions: ${versions.join(', ')}`] : []),
  ];
}

/** A lab's state in words. */
export function renderState(state: LabState): string {
  const { rules, openPorts, targets, slack } = state;
  const left = leftOpen(state);
  return [
    `Rules: ${rules.join(', ') || 'none'}`,
    `SSH: ${openPorts.join(', ') || 'closed'}`,
    ...targets.map(({ id, state: health, version }) => `${id}: ${health}, serves ${version}`),
    // The bar and the broken `##[` keep a message from issuing commands to a runner that reads this.
    ...slack.map((message) => `Slack:\n${message.replace(/^/gm, '  │ ').replaceAll('##[', '# #[')}`),
    left.length === 0 ? 'Nothing is left open.' : `Left open:\n${left.join('\n').replace(/^/gm, '  ')}`,
  ].join('\n');
}

/** The name that a step's output has for a variable or secret: `ssh-private-key` for SSH_PRIVATE_KEY. */
export const outputName = (name: string) => name.toLowerCase().replaceAll('_', '-');

export interface GithubFiles {
  /** Workflow commands to print before anything else: they mask what must not be shown. */
  commands: string;
  /** For $GITHUB_OUTPUT: variables and secrets. */
  output: string;
  /** For $GITHUB_ENV: what the SDK of a later step has to find. */
  env: string;
}

/**
 * A lab's facts in the runner's own words. Secrets are masked whole and line by line, as logs show lines;
 * lines below 8 characters are not, or the mask would tear every other log line apart.
 */
export function githubFiles({ vars, secrets, env }: LabFacts, delimiter: () => string = newDelimiter) {
  const entries = (values: Record<string, string>, nameOf: (name: string) => string) =>
    Object.entries(values)
      .map(([name, value]) => {
        const end = delimiter();
        if (value.split('\n').includes(end)) throw new Error(`${name} holds its own delimiter ${end}`);
        return `${nameOf(name)}<<${end}\n${value}\n${end}\n`;
      })
      .join('');
  const keys = Object.entries(env).filter(([name]) => /KEY/.test(name));
  const hidden = [...Object.values(secrets), ...keys.map(([, value]) => value)]
    .flatMap((value) => [value, ...value.split('\n')])
    .map((value) => value.trim())
    .filter((value) => value.length >= 8);
  const files: GithubFiles = {
    commands: [...new Set(hidden)].map((value) => `::add-mask::${escaped(value)}\n`).join(''),
    output: entries({ ...vars, ...secrets }, outputName),
    env: entries(env, (name) => name),
  };
  return files;
}

const newDelimiter = () => `lab_${randomUUID()}`;

/** The data of a workflow command (toolkit's `escapeData`). */
const escaped = (text: string) => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');

/** The same for a shell: a file to source. */
export function shellExports({ vars, secrets, env }: LabFacts): string {
  return Object.entries({ ...env, ...vars, ...secrets })
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'\n`)
    .join('');
}
