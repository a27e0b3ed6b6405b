import { renderMessage } from '@lockkeeper/lab';
import { faults } from './fault.ts';
import { short } from './frame.ts';
import type { Rehearsal } from './rehearsal.ts';

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
const mark = (ok: boolean) => (ok ? '✓' : '✗');

/** What a rehearsal ends with: the jobs, what users would have seen, what Slack got, and what stood in for what. */
export function renderReport(rehearsal: Rehearsal): string {
  const { workflow, load, guarantees, facts, absences, slack } = rehearsal;
  const sections: string[] = [];
  const section = (title: string, lines: string[]) =>
    sections.push([title, ...lines.map((line) => `  ${line}`)].join('\n'));

  section(
    `Jobs of ${workflow.file}`,
    Object.values(workflow.jobs).flatMap((job) => [
      `${job.conclusion === 'skipped' ? '–' : mark(job.conclusion === 'success')} ${job.name.padEnd(18)} ${String(job.conclusion).padEnd(9)} ${seconds(job.ms)}${job.because ? `  ${job.because}` : ''}`,
      ...job.steps
        .filter(({ conclusion, phase }) => conclusion === 'failure' || phase === 'post')
        .map(
          (step) =>
            `    ${mark(step.conclusion === 'success')} ${step.name}: ${step.conclusion}${errorOf(step)}`,
        ),
    ]),
  );

  section('What users saw', [
    `${load.requests} requests, ${load.failed} failed, in ${Math.round(load.seconds)} s (GET, POST, 2-second requests, WebSockets)`,
    `Answers took ${Math.round(load.p50)} ms (p50), ${Math.round(load.p95)} ms (p95), ${Math.round(load.max)} ms at most`,
    ...(load.websocketsCut > 0
      ? [`${load.websocketsCut} WebSockets were cut when a deregistration delay ended`]
      : []),
    `Versions: ${Object.entries(load.versions)
      .map(([version, count]) => `${short(version)} ${count}`)
      .join(', ')}`,
    `  ${versionBar(rehearsal)}`,
    ...(facts.downtime
      ? ['There is no load balancer: users reach the server itself']
      : absences.length === 0
        ? ['No target left the rotation']
        : absences.map(
            ({ target, from, ms }) =>
              `${target} was out of rotation for ${seconds(ms)}, from ${seconds(from)} on`,
          )),
  ]);

  section(
    'Guarantees',
    guarantees.map(({ name, held, seen }) => `${mark(held)} ${name}: ${short(seen)}`),
  );

  section(
    'Still open',
    [...facts.openRules, ...facts.openPorts.map((host) => `port 22 of ${host}`)].length === 0
      ? ['nothing']
      : [...facts.openRules, ...facts.openPorts],
  );

  section(
    'Slack',
    slack.length === 0 ? ['no message'] : slack.flatMap(({ payload }) => renderMessage(payload).split('\n')),
  );

  section('What was not real', [
    `Hosts: ${rehearsal.engine}`,
    `AWS's own durations: ${rehearsal.scale === 1 ? 'at their real pace' : `${rehearsal.scale} times as fast`}; the actions, SSH and HTTP at their real pace`,
    ...workflow.standIns.map(({ job, of, by }) => `${job} › ${short(of)}: ${by}`),
    ...workflow.notes,
  ]);

  const broken = guarantees.filter(({ held }) => !held);
  const made = rehearsal.fail ? ` with ${rehearsal.fail} (${faults[rehearsal.fail].what})` : '';
  sections.push(
    `${load.requests} requests, ${load.failed} failed. ` +
      (broken.length === 0
        ? `Every guarantee held${made}. ${seconds(rehearsal.ms)} in all.`
        : `Broken${made}: ${broken.map(({ name }) => name).join(', ')}. ${seconds(rehearsal.ms)} in all.`),
  );
  return `${sections.join('\n\n')}\n`;
}

function errorOf(step: { annotations: Array<{ level: string; message: string }> }): string {
  const error = step.annotations.find(({ level }) => level === 'error');
  return error ? ` — ${error.message.split('\n')[0]}` : '';
}

/** One letter a second (or more): which version answered most. */
function versionBar({ load }: Rehearsal): string {
  const names = Object.keys(load.versions);
  const letters = new Map(names.map((name, i) => [name, 'oNxyz'[i] ?? '?']));
  const width = 60;
  const step = Math.max(1, Math.ceil(load.perSecond.length / width));
  let bar = '';
  for (let i = 0; i < load.perSecond.length; i += step) {
    const slice = load.perSecond.slice(i, i + step);
    if (slice.some(({ failed }) => failed > 0)) bar += '!';
    else {
      const seen = names.filter((name) => slice.some(({ versions }) => (versions[name] ?? 0) > 0));
      bar += seen.length === 0 ? '·' : seen.length > 1 ? '+' : letters.get(seen[0]!)!;
    }
  }
  const legend = names.map((name) => `${letters.get(name)} ${short(name)}`).join(', ');
  return `${bar}  (${legend}, + both, ! failed; ${step} s a sign)`;
}
