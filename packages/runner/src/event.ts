import { WorkflowError } from './source.ts';
import type { DispatchInput, Trigger, Workflow } from './workflow.ts';

/** What the github context says about the repository and the run; everything has a default. */
export interface RunFacts {
  /** owner/name. */
  repository: string;
  sha: string;
  /** refs/heads/… or refs/tags/…. */
  ref: string;
  actor: string;
  runId: string;
  runNumber: string;
  runAttempt: string;
  serverUrl: string;
}

/** What starts the workflow when nobody says: a push, else by hand, else by the clock, else its first event. */
export function defaultEvent(workflow: Workflow): string {
  const events = workflow.triggers.map((trigger) => trigger.event);
  const usual = ['push', 'workflow_dispatch', 'schedule'].find((event) => events.includes(event));
  return usual ?? events[0] ?? 'push';
}

/**
 * Throws WorkflowError when GitHub would not start the workflow for this event. Answers the filters that could
 * not be judged, in words: a run that names no changed files says nothing about `paths`.
 */
export function checkTrigger(
  workflow: Workflow,
  event: string,
  facts: Pick<RunFacts, 'ref'>,
  changedFiles: readonly string[] | undefined,
): string[] {
  const first = workflow.triggers[0] ?? { line: 1, column: 1 };
  const trigger = workflow.triggers.find((candidate) => candidate.event === event);
  if (!trigger) {
    const events = workflow.triggers.map((candidate) => candidate.event).join(', ');
    const reason = `the workflow does not start on "${event}"`;
    throw new WorkflowError(workflow.file, first, reason, `start it by one of: ${events}`);
  }
  const refused = (reason: string, mend: string): never => {
    throw new WorkflowError(workflow.file, trigger, reason, mend);
  };
  if (event === 'push' && !refMatches(trigger, facts.ref)) {
    refused(`"on.push" leaves out ${facts.ref}`, 'push a branch or tag that its filters name');
  }
  const wanted = list(trigger.filters.paths);
  const ignored = list(trigger.filters['paths-ignore']);
  if (wanted.length + ignored.length === 0) return [];
  if (!changedFiles) return [`on.${event}.paths was not judged: the run names no changed files`];
  const counts = changedFiles.some((file) =>
    wanted.length > 0 ? matchesFilter(wanted, file) : !matchesFilter(ignored, file),
  );
  if (!counts) refused(`"on.${event}" leaves out the changed files`, 'change a file that its filters name');
  return [];
}

function refMatches(trigger: Trigger, ref: string): boolean {
  const isTag = ref.startsWith('refs/tags/');
  const name = ref.replace(/^refs\/(heads|tags)\//, '');
  const [own, other] = isTag ? ['tags', 'branches'] : ['branches', 'tags'];
  const wanted = list(trigger.filters[own as string]);
  const ignored = list(trigger.filters[`${own}-ignore`]);
  if (wanted.length > 0) return matchesFilter(wanted, name);
  if (ignored.length > 0) return !matchesFilter(ignored, name);
  // A filter for tags alone leaves out every branch, and the other way round.
  return list(trigger.filters[other as string]).length === 0;
}

/** GitHub's filter patterns: `*` stops at a slash, `**` does not, the last pattern that matches decides. */
export function matchesFilter(patterns: readonly string[], name: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    const negative = pattern.startsWith('!');
    if (filterPattern(negative ? pattern.slice(1) : pattern).test(name)) matched = !negative;
  }
  return matched;
}

function filterPattern(pattern: string): RegExp {
  const source = pattern.replace(/\*\*\/|\*\*|\*|[.\\^$(){}|]/g, (piece) => {
    if (piece === '**/') return '(?:.*/)?';
    if (piece === '**') return '.*';
    if (piece === '*') return '[^/]*';
    return `\\${piece}`;
  });
  return new RegExp(`^${source}$`);
}

function list(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  return (Array.isArray(value) ? value : [value]).map(String);
}

/**
 * The `inputs` context of a run by hand: defaults filled in, booleans and numbers as such.
 * Throws WorkflowError at the input's place for one that is missing, unknown or not of its type.
 */
export function readInputs(
  workflow: Workflow,
  event: string,
  given: Record<string, string | number | boolean>,
): Record<string, unknown> {
  const names = Object.keys(given);
  if (event !== 'workflow_dispatch') {
    if (names.length === 0) return {};
    const place = workflow.triggers[0] ?? { line: 1, column: 1 };
    const reason = `inputs (${names.join(', ')}) are known only to "workflow_dispatch", not to "${event}"`;
    throw new WorkflowError(workflow.file, place, reason, 'start it by workflow_dispatch, or give no inputs');
  }
  const unknown = names.find((name) => !workflow.inputs.some((input) => sameName(input.name, name)));
  if (unknown !== undefined) {
    const place = workflow.triggers.find((trigger) => trigger.event === event) ?? { line: 1, column: 1 };
    const known = workflow.inputs.map((input) => input.name).join(', ') || 'none at all';
    const mend = `the workflow takes: ${known}`;
    throw new WorkflowError(workflow.file, place, `there is no input "${unknown}"`, mend);
  }
  return Object.fromEntries(
    workflow.inputs.map((input) => {
      const name = names.find((candidate) => sameName(candidate, input.name));
      const value = name === undefined ? undefined : given[name];
      return [input.name, readInput(workflow.file, input, value === undefined ? undefined : String(value))];
    }),
  );
}

function readInput(file: string, input: DispatchInput, given: string | undefined): unknown {
  const refused = (reason: string, mend: string): never => {
    throw new WorkflowError(file, input, `the input "${input.name}" ${reason}`, mend);
  };
  const value = given ?? input.default ?? '';
  if (value === '' && input.required && input.type !== 'boolean') {
    refused('is required and has no value', `give it a value`);
  }
  if (input.type === 'boolean') {
    if (!['', 'true', 'false'].includes(value)) refused(`is "${value}"`, 'give true or false');
    return value === 'true';
  }
  if (input.type === 'number') {
    if (Number.isNaN(Number(value))) refused(`is "${value}"`, 'give a number');
    return value === '' ? '' : Number(value);
  }
  if (input.type === 'choice') {
    const choice = value === '' && given === undefined ? (input.options[0] ?? '') : value;
    if (!input.options.includes(choice))
      refused(`is "${choice}"`, `give one of: ${input.options.join(', ')}`);
    return choice;
  }
  return value;
}

function sameName(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** The payload of the event, as far as a workflow usually looks into it. What the caller gives wins. */
export function eventPayload(
  event: string,
  facts: RunFacts,
  inputs: Record<string, unknown>,
  given: Record<string, unknown>,
): Record<string, unknown> {
  const [owner = '', name = ''] = facts.repository.split('/');
  const url = `${facts.serverUrl}/${facts.repository}`;
  const repository = {
    id: 1,
    name,
    full_name: facts.repository,
    owner: { login: owner, name: owner },
    html_url: url,
    default_branch: 'main',
    private: false,
  };
  const sender = { login: facts.actor, id: 1, type: 'User' };
  const common = { repository, sender };
  if (event === 'push') {
    const commit = {
      id: facts.sha,
      message: 'A change',
      timestamp: '1970-01-01T00:00:00Z',
      url: `${url}/commit/${facts.sha}`,
      author: { name: facts.actor, username: facts.actor, email: `${facts.actor}@example.com` },
    };
    const push = { ref: facts.ref, before: '0'.repeat(40), after: facts.sha, compare: `${url}/compare` };
    const pusher = { name: facts.actor };
    return { ...common, ...push, pusher, head_commit: commit, commits: [commit], ...given };
  }
  if (event === 'workflow_dispatch') {
    const strings = Object.entries(inputs).map(([input, value]) => [input, String(value)]);
    return { ...common, ref: facts.ref, inputs: Object.fromEntries(strings), ...given };
  }
  return { ...common, ...given };
}

/** The github context of a job, without what the runner itself fills in (workspace, action, event_path). */
export function githubContext(options: {
  workflow: Workflow;
  facts: RunFacts;
  event: string;
  payload: Record<string, unknown>;
  apiUrl: string;
  token: string;
  job: string;
}): Record<string, unknown> {
  const { workflow, facts, event, payload } = options;
  const [owner = ''] = facts.repository.split('/');
  const isTag = facts.ref.startsWith('refs/tags/');
  const inRepository = `.github/workflows/${workflow.file.split('/').at(-1)}`;
  const pull = payload.pull_request as { head?: { ref?: string }; base?: { ref?: string } } | undefined;
  return {
    actor: facts.actor,
    actor_id: '1',
    api_url: options.apiUrl,
    base_ref: pull?.base?.ref ?? '',
    event: payload,
    event_name: event,
    graphql_url: `${options.apiUrl}/graphql`,
    head_ref: pull?.head?.ref ?? '',
    job: options.job,
    ref: facts.ref,
    ref_name: facts.ref.replace(/^refs\/(heads|tags|pull)\//, ''),
    ref_protected: false,
    ref_type: isTag ? 'tag' : 'branch',
    repository: facts.repository,
    repository_id: '1',
    repository_owner: owner,
    repository_owner_id: '1',
    repositoryUrl: `git://${facts.serverUrl.replace(/^\w+:\/\//, '')}/${facts.repository}.git`,
    retention_days: '90',
    run_attempt: facts.runAttempt,
    run_id: facts.runId,
    run_number: facts.runNumber,
    secret_source: 'Actions',
    server_url: facts.serverUrl,
    sha: facts.sha,
    token: options.token,
    triggering_actor: facts.actor,
    workflow: workflow.name,
    workflow_ref: `${facts.repository}/${inRepository}@${facts.ref}`,
    workflow_sha: facts.sha,
  };
}
