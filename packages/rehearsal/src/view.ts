import type { Lab, Load } from '@lockkeeper/lab';
import type { WorkflowEvent } from '@lockkeeper/runner';
import { frame, type Scene, short } from './frame.ts';
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
      if (event.kind === 'lab-closing') clearInterval(timer);
      if (event.kind === 'lab-opened') {
        let targets = '';
        timer = setInterval(() => {
          const now = targetsOf(event.lab).map(inWords).join('; ');
          if (now !== targets) say(`${now}  [${loadOf(event.load)}]`);
          targets = now;
        }, 250);
      }
    },
    close: () => clearInterval(timer),
  };
}

/** A picture that is drawn anew a few times a second. */
export function liveView(write: Write, size: () => { columns: number; rows: number }): View {
  const began = performance.now();
  const fold = logFold();
  const scene: Scene = { elapsed: 0, jobs: { done: 0, all: 0 }, targets: [], steps: [], log: [] };
  let opened: { lab: Lab; load: Load } | undefined;
  let drawn = 0;

  const draw = () => {
    scene.elapsed = performance.now() - began;
    if (opened) {
      scene.load = opened.load.snapshot();
      scene.targets = targetsOf(opened.lab);
    }
    const lines = frame(scene, size());
    write(
      `${drawn > 0 ? `\u001b[${drawn}A` : ''}${lines.map((line) => `\u001b[2K${line}\n`).join('')}\u001b[0J`,
    );
    drawn = lines.length;
  };
  const timer = setInterval(draw, 150);
  return {
    on(event) {
      if (event.kind === 'lab-opened') opened = event;
      if (event.kind === 'lab-closing') opened = undefined;
      if (event.kind === 'workflow') follow(scene, event.event);
      if (isLogLine(event)) scene.log.push(...fold(event.event.text));
      else scene.steps.push(...describe(event));
    },
    close() {
      clearInterval(timer);
      draw();
      write('\n');
    },
  };
}

function follow(scene: Scene, event: WorkflowEvent): void {
  if (event.kind === 'run-started') scene.jobs.all = event.jobs.length;
  if (event.kind === 'job-finished') scene.jobs.done += 1;
  if (event.kind === 'step-started') scene.place = `${event.job} › ${short(event.name)}`;
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
  if (event.kind === 'lab-closing') return [];
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
      `  ${marks[inner.conclusion]} ${short(inner.name)} (${(inner.ms / 1000).toFixed(1)} s)${inner.standIn ? ' [stand-in]' : ''}`,
    ];
  return [];
}

function loadOf(load: Load): string {
  const { requests, failed, perSecond } = load.snapshot();
  const last = perSecond.at(-2)?.requests ?? 0;
  return `${requests} requests, ${failed} failed, ${last}/s`;
}

function targetsOf(lab: Lab): Scene['targets'] {
  const health = lab.group.health();
  return lab.hosts.map(({ instanceId, host }) => {
    const target = health.find(({ id }) => id === instanceId);
    const changed = lab.group.history.findLast(({ id }) => id === instanceId)?.at ?? lab.clock.now();
    return {
      id: instanceId,
      address: host.address,
      state: lab.balanced
        ? target
          ? `${target.state}${target.reason ? ` (${target.reason})` : ''}`
          : 'not registered'
        : 'serves by itself',
      version: lab.versionOn(host),
      since: (lab.clock.now() - changed) / lab.clock.scale,
    };
  });
}

const inWords = ({ id, address, state }: Scene['targets'][0]) => `${id} ${address} ${state}`;
