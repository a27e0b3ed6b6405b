import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const actions = fileURLToPath(new URL('../../../actions', import.meta.url));

/** A deliberate break of a guarantee: text of a committed bundle, and what it becomes. */
export interface Break {
  guarantee: string;
  what: string;
  action: string;
  /** Below the action's dist. */
  file: string;
  from: string;
  to: string;
  /** The case that has to show it, as the table names it. */
  shownBy: string;
}

export const breaks: readonly Break[] = [
  {
    guarantee: 'Nothing left open',
    what: 'the post of ephemeral-ssh-ingress does nothing',
    action: 'ephemeral-ssh-ingress',
    file: 'post.js',
    from: "await run('post', contract);",
    to: '',
    shownBy: 'F01 cancelled before staging (main)',
  },
  {
    guarantee: 'Nothing left broken',
    what: 'going back is told, and not done',
    action: 'compose-deploy',
    file: 'index.js',
    from: `await goBack(site, record, { left, pending, timeout });
        const verdict = await verify(site, target, timeout);`,
    to: 'const verdict = { good: true };',
    shownBy: 'F27 answers 503 (main)',
  },
  {
    guarantee: 'Nothing dropped',
    what: 'nobody waits for a drain',
    action: 'rolling-alb-deploy',
    file: 'index.js',
    from: `if (!verdict.done)
            return;`,
    to: '',
    shownBy: 'F16 registering is throttled (main)',
  },
  {
    guarantee: 'Nothing leaked',
    what: 'credentials are shown where they should be masked',
    action: 'ephemeral-ssh-ingress',
    file: 'index.js',
    from: 'mask(credentials.secretAccessKey);',
    to: 'log.info(credentials.secretAccessKey);',
    shownBy: 'F01 cancelled before staging (main)',
  },
  {
    guarantee: 'Nobody guesses',
    what: 'a failure has no message',
    action: 'compose-deploy',
    file: 'index.js',
    from: 'log.error(error.next ? `${error.message}\\nNext: ${error.next}` : error.message);',
    to: '',
    shownBy: 'F27 answers 503 (main)',
  },
];

/** The text of a bundle with the break in it. Throws when the break does not fit the bundle, or fits it twice. */
export function broken(text: string, { what, action, file, from, to }: Break): string {
  const parts = text.split(from);
  if (parts.length !== 2)
    throw new Error(
      `the break "${what}" does not fit ${action}/dist/${file}: what it replaces is there ${parts.length - 1} times, expected once:\n${from}`,
    );
  return parts.join(to);
}

export const bundleOf = ({ action, file }: Break): string =>
  readFileSync(join(actions, action, 'dist', file), 'utf8');

/** Runs with a folder of actions one of which is broken. */
export async function withBroken<T>(one: Break, use: (actions: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'lockkeeper-break-'));
  try {
    for (const name of readdirSync(actions))
      if (name !== one.action) symlinkSync(join(actions, name), join(folder, name));
    for (const part of ['action.yml', 'dist'])
      cpSync(join(actions, one.action, part), join(folder, one.action, part), { recursive: true });
    writeFileSync(join(folder, one.action, 'dist', one.file), broken(bundleOf(one), one));
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
