import * as core from '@actions/core';
import { sanitiseLines, sanitiseOwn } from './sanitise.ts';

/** The job's log. What it is given is data: no text passed here can issue a workflow command. */
export interface Log {
  info(text: string): void;
  debug(text: string): void;
  /** Annotations, shown on the run's page. */
  notice(message: string, title?: string): void;
  warning(message: string, title?: string): void;
  error(message: string, title?: string): void;
  group<T>(name: string, fn: () => Promise<T>): Promise<T>;
  /** Output of a host, prefixed `[host] `; partial lines wait for their end. */
  remote(host: string, text: string): void;
}

const mostRemoteLines = 5000;

/** The log over @actions/core. `flush` prints what hosts left without a line end. */
export function actionsLog(): Log & { flush(): void } {
  const pending = new Map<string, string>();
  const shown = new Map<string, number>();

  const print = (host: string, line: string) => {
    const count = (shown.get(host) ?? 0) + 1;
    shown.set(host, count);
    if (count <= mostRemoteLines) core.info(`[${host}] ${line}`);
    else if (count === mostRemoteLines + 1)
      core.info(`[${host}] … more than ${mostRemoteLines} lines; the rest is not shown`);
  };

  return {
    info: (text) => {
      for (const line of sanitiseOwn(text)) core.info(line);
    },
    debug: (text) => core.debug(text),
    notice: (message, title) => core.notice(message, { title }),
    warning: (message, title) => core.warning(message, { title }),
    error: (message, title) => core.error(message, { title }),
    group: (name, fn) => core.group(name, fn),
    remote: (host, text) => {
      const whole = (pending.get(host) ?? '') + text;
      const end = Math.max(whole.lastIndexOf('\n'), whole.lastIndexOf('\r')) + 1;
      // A host that never ends its line must not fill our memory.
      const cut = whole.length - end > 65_536 ? whole.length : end;
      pending.set(host, whole.slice(cut));
      if (cut > 0)
        for (const line of sanitiseLines(whole.slice(0, cut).replace(/[\r\n]+$/, ''))) print(host, line);
    },
    flush: () => {
      for (const [host, rest] of pending) if (rest) for (const line of sanitiseLines(rest)) print(host, line);
      pending.clear();
    },
  };
}

/** A log that keeps its lines, for tests: `warning: …`, `[host] …`. */
export function memoryLog(): Log & { lines: string[] } {
  const lines: string[] = [];
  return {
    lines,
    info: (text) => lines.push(...sanitiseOwn(text)),
    debug: () => {},
    notice: (message) => lines.push(`notice: ${message}`),
    warning: (message) => lines.push(`warning: ${message}`),
    error: (message) => lines.push(`error: ${message}`),
    group: async (name, fn) => {
      lines.push(`group: ${name}`);
      return fn();
    },
    remote: (host, text) =>
      lines.push(...sanitiseLines(text.replace(/\n$/, '')).map((line) => `[${host}] ${line}`)),
  };
}
