import { UserError } from '@lockkeeper/action';

/** Everything wrong at once, as one refusal before anything was changed; nothing wrong: no refusal. */
export function refuse(problems: readonly string[], next: readonly string[] = []): void {
  if (problems.length === 0) return;
  throw new UserError([...new Set(problems), 'Nothing was changed.'].join('\n'), {
    next: [...new Set(next)].join('\n'),
  });
}
