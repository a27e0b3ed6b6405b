import { inputsOf, memoryLog } from '@lockkeeper/action';
import type { Answer, NoAnswer, Sample } from '@lockkeeper/probe';
import type { Held } from '@lockkeeper/probe/websocket';
import { fakeClock } from '@lockkeeper/wait';
import { actions, contractOf } from '../../../tools/manifest.ts';
import { judge } from '../src/gate.ts';
import { parseInputs } from '../src/inputs.ts';

const { inputs: defaults } = contractOf(actions().find(({ name }) => name === 'health-gate')!);

export const inputsFor = (values: Record<string, string>) =>
  parseInputs(inputsOf({ url: 'http://app.example/', ...values }, defaults));

/** What a server does with one question: an answer, none, or nothing until the probe gives up. */
export type Reply = Partial<Answer> | Partial<NoAnswer> | 'hangs';

export interface Scene {
  /** By the time (ms) since the start, the URL, and the count of its questions. */
  answer: (at: number, url: URL, count: number) => Reply;
  /** Milliseconds that an answer takes; 40 unless given. */
  takes?: (at: number, count: number) => number;
  hold?: (at: number, ms: number) => Partial<Held>;
  cancelAt?: number;
}

/** Judges a made-up server on a made-up clock. */
export async function judgeScene(scene: Scene, values: Record<string, string> = {}) {
  const clock = fakeClock();
  const log = memoryLog();
  const counts = new Map<string, number>();
  const cancel = new AbortController();
  if (scene.cancelAt !== undefined)
    void clock.sleep(scene.cancelAt).then(() => cancel.abort(new Error('cancelled')));
  let [underWay, mostAtATime] = [0, 0];
  const report = await judge(inputsFor(values), {
    ask: async (url, { timeout, signal }): Promise<Sample> => {
      const at = clock.now();
      const count = counts.get(url.href) ?? 0;
      counts.set(url.href, count + 1);
      const reply = scene.answer(at, url, count);
      mostAtATime = Math.max(mostAtATime, ++underWay);
      const ms = reply === 'hangs' ? timeout : (scene.takes?.(at, count) ?? 40);
      await clock.sleep(ms, signal).finally(() => underWay--);
      const sample = { answered: true, at, ms, address: '192.0.2.1:80', status: 200, headers: {}, body: '' };
      const none = { answered: false, kind: 'timeout', code: 'ETIMEDOUT', message: 'no answer' };
      return { ...sample, truncated: false, ...(reply === 'hangs' ? none : reply) } as Sample;
    },
    hold: async (_, ms, signal) => {
      const held = scene.hold?.(clock.now(), ms) ?? {};
      const opened = {
        answered: true,
        at: clock.now(),
        ms: 5,
        address: '',
        status: 101,
        headers: {},
        body: '',
      };
      const stayed = held.ms ?? (held.opened ? 0 : ms);
      await clock.sleep(stayed, signal);
      return { opened: { ...opened, truncated: false } as Sample, ms: stayed, ...held };
    },
    clock,
    log,
    signal: cancel.signal,
    show: ({ href }) => href,
  });
  return { ...report, lines: log.lines, took: report.to - report.from, counts, mostAtATime };
}

export const serves = (version: string): Partial<Answer> => ({ body: JSON.stringify({ version }) });
export const refused: Partial<NoAnswer> = {
  answered: false,
  kind: 'connect',
  code: 'ECONNREFUSED',
  message: 'connection refused',
};
