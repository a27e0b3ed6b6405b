import { afterEach, expect, it } from '@jest/globals';
import { liveTexts } from './faults.ts';
import { cleanUp, messagesOf, serve, slack, step } from './stage.ts';

// The bundle's own time limits, at their real length.

const clean = cleanUp();
afterEach(clean.now);

const needs = '{"deploy":{"result":"failure","outputs":{}}}';

it('ends within a minute when GitHub and Slack are both silent', async () => {
  const opened = await slack(
    Array.from({ length: 9 }, () => ({ kind: 'hang' as const })),
    clean,
  );
  const run = await step(
    { 'webhook-url': opened.webhookUrl, needs },
    { github: { api_url: await serve(() => {}, clean) } },
  );
  expect(run).toMatchObject({
    code: 0,
    outputs: { sent: 'false', reason: expect.stringMatching(/^no answer within [\d.]+ s \(4 tries\)$/) },
  });
  expect(run.annotations.map(({ message }) => message)).toEqual([
    'the failed job and step cannot be named: the Actions API did not answer within 10 s',
    expect.stringMatching(/^no Slack message was sent: no answer/),
  ]);
  expect(run.ms).toBeLessThan(60_000);
}, 90_000);

it('sends what needs tells when GitHub is silent', async () => {
  const opened = await slack([], clean);
  const run = await step(
    { 'webhook-url': opened.webhookUrl, needs },
    { github: { api_url: await serve(() => {}, clean) } },
  );
  expect(run).toMatchObject({ code: 0, outputs: { sent: 'true' } });
  expect(liveTexts(messagesOf(opened)[0]!)[1]).toContain('failed in *deploy*');
}, 30_000);
