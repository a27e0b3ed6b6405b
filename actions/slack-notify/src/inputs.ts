import type { Inputs } from '@lockkeeper/action';
import * as v from 'valibot';
import type { Mention, Words } from './message.ts';
import { type Needs, type Status, statuses } from './outcome.ts';

export interface NotifyInputs extends Words {
  /** Undefined = nothing to send to. */
  webhook: URL | undefined;
  /** Undefined when an emptied input left it to `needs`. */
  status: Status | undefined;
  needs: Needs;
  token: string;
  failOnError: boolean;
  dryRun: boolean;
}

const mostFields = 50;
const needsShape = v.record(v.string(), v.looseObject({ result: v.picklist(statuses) }));

/** Reads and judges every input; throws all problems at once, before anything is contacted. */
export function parseInputs(inputs: Inputs): NotifyInputs {
  const webhook = readWebhook(inputs);
  const needs = readNeeds(inputs);
  const status = readStatus(inputs, needs);
  const fields = inputs.pairs('fields', { separator: ':', key: /\S/ });
  if (fields.length > mostFields)
    inputs.problem(
      'fields',
      `has ${fields.length} lines; expected at most ${mostFields}, which is what a message holds`,
    );
  const url = inputs.text('url');
  if (url && !/^https?:$/.test(URL.parse(url)?.protocol ?? ''))
    inputs.reject('url', url, 'an http(s) URL, such as https://app.example');
  const settings: NotifyInputs = {
    webhook,
    status,
    needs,
    title: inputs.text('title'),
    stage: inputs.text('stage'),
    version: inputs.text('version'),
    url,
    reason: inputs.raw('reason'),
    fields,
    mentions: inputs.list('mention-on-failure').flatMap((text) => readMention(inputs, text)),
    token: inputs.secret('github-token').trim(),
    failOnError: inputs.boolean('fail-on-error'),
    dryRun: inputs.boolean('dry-run'),
  };
  inputs.done();
  return settings;
}

/** The value is a secret: whoever has it can post. No message repeats it. */
function readWebhook(inputs: Inputs): URL | undefined {
  const text = inputs.secret('webhook-url').trim();
  if (!text) return undefined;
  const url = URL.parse(text);
  if (url?.protocol === 'https:') return url;
  if (url?.protocol === 'http:' && isLoopback(url.hostname)) return url;
  inputs.problem(
    'webhook-url',
    url?.protocol === 'http:'
      ? 'is plain http to another host, which would show the secret to the network; expected https://'
      : 'is not a URL that can be posted to; expected the whole address, such as https://hooks.slack.com/services/…',
  );
  return undefined;
}

export const isLoopback = (host: string) => /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(host);

function readNeeds(inputs: Inputs): Needs {
  const text = inputs.text('needs');
  if (!text) return {};
  try {
    const parsed = v.parse(needsShape, JSON.parse(text));
    return Object.fromEntries(Object.entries(parsed).map(([job, { result }]) => [job, result]));
  } catch {
    inputs.reject('needs', text, 'the jobs with their results as JSON: ${{ toJSON(needs) }}');
    return {};
  }
}

function readStatus(inputs: Inputs, needs: Needs): Status | undefined {
  const text = inputs.text('status').toLowerCase();
  const status = statuses.find((one) => one === text);
  if (status) return status;
  if (text) inputs.reject('status', text, statuses.join(', '));
  else if (Object.keys(needs).length === 0)
    inputs.problem(
      'status',
      `is empty; expected ${statuses.join(', ')}, or leave the input out for the job's own`,
    );
  return undefined;
}

function readMention(inputs: Inputs, text: string): Mention[] {
  const special = /^@(here|channel)$/.exec(text)?.[1];
  if (special) return [{ special: special as 'here' | 'channel' }];
  if (/^[UW][A-Z0-9]{2,20}$/.test(text)) return [{ user: text }];
  if (/^S[A-Z0-9]{2,20}$/.test(text)) return [{ group: text }];
  inputs.reject('mention-on-failure', text, '@here, @channel, or the id of a user (U…) or a user group (S…)');
  return [];
}
