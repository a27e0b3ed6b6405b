import type { Lab, Load } from '@lockkeeper/lab';
import type { WorkflowEvent } from '@lockkeeper/runner';
import type { RehearsalEvent } from './rehearsal.ts';

/** Shows a rehearsal while it runs. */
export interface View {
  on(event: RehearsalEvent): void;
  close(): void;
}

type Write = (text: string) => void;

/** Lines, for a log or a pipe: what changed, when it changed. */
export function lineView(write: Write): View {
  const began = performance.now();
  const fold = logFold();
  const say = (text: string) =>
    write(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s  ${text}\n`);
  let timer: NodeJS.Timeout | undefined;
  return {
    on(event) {
      for (const line of isLogLine(event) ? fold(event.event.text) : describe(event)) say(line);
      if (event.kind === 'lab-opened') {
        let targets = '';
        timer = setInterval(() => {
          const now = targetsOf(event.lab).join('; ');
          if (now !== targets) say(`${now}  [${loadOf(event.load)}]`);
          targets = now;
        }, 250);
      }
    },
    close: () => clearInterval(timer),
  };
}

/** A picture that is drawn anew a few times a second: one line a target, one for the load, and the last lines of the log. */
export function liveView(write: Write, size: () => { columns: number; rows: number }): View {
  const began = performance.now();
  const steps: string[] = [];
  const lines: string[] = [];
  const fold = logFold();
  let scene: { lab: Lab; load: Load } | undefined;
  let drawn = 0;

  const draw = () => {
    const { columns, rows } = size();
    const elapsed = `${((performance.now() - began) / 1000).toFixed(0)} s`;
    const top = [
      `Lockkeeper rehearsal — ${elapsed}`,
      ...(scene ? [loadOf(scene.load), ...targetsOf(scene.lab)] : []),
      '',
      ...steps.slice(-8),
      '',
    ];
    const room = Math.max(0, Math.min(12, rows - top.length - 1));
    const frame = [...top, ...(room > 0 ? lines.slice(-room) : [])].map((line) =>
      [...line].slice(0, columns - 1).join(''),
    );
    write(
      `${drawn > 0 ? `\u001b[${drawn}A` : ''}${frame.map((line) => `\u001b[2K${line}\n`).join('')}\u001b[0J`,
    );
    drawn = frame.length;
  };
  const timer = setInterval(draw, 150);
  return {
    on(event) {
      if (event.kind === 'lab-opened') scene = event;
      if (isLogLine(event)) lines.push(...fold(event.event.text));
      else steps.push(...describe(event));
    },
    close() {
      clearInterval(timer);
      draw();
      write('\n');
    },
  };
}

type LogLine = { kind: 'workflow'; event: Extract<WorkflowEvent, { kind: 'line' }> };

const isLogLine = (event: RehearsalEvent): event is LogLine =>
  event.kind === 'workflow' && event.event.kind === 'line';

const signs: Record<string, string> = { error: '✗ ', warning: '! ', notice: '· ', group: '▾ ', endgroup: '' };

/** The log as its page would show it: what the runner prints of each step's inputs stays folded. */
export function logFold(): (line: string) => string[] {
  let folded = false;
  return (line) => {
    const [, command, rest] = /^##\[(\w+)\](.*)$/s.exec(line) ?? [undefined, '', line];
    if (command === 'group' && rest!.startsWith('Run ')) folded = true;
    const shown = folded || rest!.trim() === '' ? [] : [`    ${signs[command!] ?? ''}${rest}`];
    if (command === 'endgroup') folded = false;
    return shown;
  };
}

const marks: Record<string, string> = { success: '✓', failure: '✗', skipped: '–', cancelled: '∅' };

/** An event in words; [] for one that is not worth a line. */
export function describe(event: RehearsalEvent): string[] {
  if (event.kind === 'said') return [event.text];
  if (event.kind === 'struck') return [`! the fault strikes: ${event.fault}`];
  if (event.kind === 'lab-opened') return ['the lab is open, under load'];
  const { event: inner } = event;
  if (inner.kind === 'job-started') return [`▸ ${inner.name}`];
  if (inner.kind === 'job-finished')
    return [
      `${marks[inner.conclusion]} ${inner.name}: ${inner.conclusion}${inner.because ? ` (${inner.because})` : ''}`,
    ];
  if (inner.kind === 'step-finished' && inner.index >= 0 && inner.conclusion !== 'skipped')
    return [
      `  ${marks[inner.conclusion]} ${inner.name} (${(inner.ms / 1000).toFixed(1)} s)${inner.standIn ? ' [stand-in]' : ''}`,
    ];
  return [];
}

function loadOf(load: Load): string {
  const { requests, failed, perSecond } = load.snapshot();
  const last = perSecond.at(-2)?.requests ?? 0;
  return `${requests} requests, ${failed} failed, ${last}/s`;
}

function targetsOf({ group, hosts }: Lab): string[] {
  const health = group.health();
  return hosts.map(({ instanceId, host }) => {
    const target = health.find(({ id }) => id === instanceId);
    const state = target ? `${target.state}${target.reason ? ` (${target.reason})` : ''}` : 'not registered';
    const sign = target?.state === 'healthy' ? '●' : target?.state === 'draining' ? '◌' : '○';
    return `${sign} ${instanceId} ${host.address} ${state}`;
  });
}
