/** Something the user can mend: printed without a stack. Anything else that is thrown counts as our bug. */
export class UserError extends Error {
  override readonly name: string = 'UserError';
  /** The command or change that mends it. */
  readonly next?: string;
  /** Longer evidence (log lines, a diff), shown in a group below the message. */
  readonly details?: string;

  constructor(
    message: string,
    { next, details, cause }: { next?: string; details?: string; cause?: unknown } = {},
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.next = next;
    this.details = details;
  }
}

/** Every problem with the inputs, one a line. */
export class InputError extends UserError {
  override readonly name = 'InputError';
  readonly problems: string[];
  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** The run was cancelled: SIGINT, SIGTERM or SIGHUP from the runner. */
export class Cancelled extends UserError {
  override readonly name = 'Cancelled';
  constructor(signal: string) {
    super(`cancelled (${signal})`);
  }
}

/** One line for whoever reads the output `reason`, such as a Slack message. */
export function reasonOf(error: unknown): string {
  const text =
    error instanceof InputError
      ? error.problems.join('; ')
      : error instanceof UserError
        ? error.message
        : messageOf(error);
  return text.replace(/\s+/g, ' ').trim();
}

/** The message of anything thrown, with its causes: `fetch failed: connect ECONNREFUSED 127.0.0.1:1`. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own =
    error instanceof AggregateError && !error.message
      ? error.errors.map(messageOf).join('; ')
      : error.message;
  const cause = error.cause === undefined ? '' : messageOf(error.cause);
  return cause && !own.includes(cause) ? `${own}: ${cause}` : own || error.name;
}
