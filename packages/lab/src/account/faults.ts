import type { Call } from './calls.ts';
import { like } from './iam.ts';
import { AwsError, type ServiceName } from './query.ts';

/** What goes wrong. Durations are lab ms. */
export type FaultKind =
  /** Refused for too many calls, in the words of the service; nothing happens. */
  | { kind: 'throttle' }
  /** The service fails (500 unless `status` says 502, 503 or 504); nothing happens. */
  | { kind: '5xx'; status?: number }
  /** The request is read and never answered; nothing happens. */
  | { kind: 'hang' }
  /** The call takes effect, and its answer is lost with the connection. */
  | { kind: 'lost-response' }
  /** The connection is cut before the call takes effect. */
  | { kind: 'drop' }
  /** Refused as if no policy allowed it. */
  | { kind: 'denied' }
  /** The service's clock is that far ahead of the caller's (negative: behind). */
  | { kind: 'skew'; byMs: number }
  /** The caller's session counts as expired. */
  | { kind: 'expired' }
  /** Done, and answered only after that long. */
  | { kind: 'slow'; ms: number }
  /** Refused with any other code; nothing happens. */
  | { kind: 'error'; code: string; message: string; status?: number };

export interface FaultMatch {
  service?: ServiceName;
  /** May hold `*`. */
  action?: string;
  /** A pattern that one of the request's values must fit: a group id, an ARN, an instance id. */
  resource?: string;
  /** Only dry runs, or only real calls. */
  dryRun?: boolean;
  /** Begins with this matching call; the first is 1. */
  nth?: number;
  /** Strikes that many matching calls; Infinity for all. */
  times?: number;
  /** Strikes with this chance, drawn from the seed. */
  chance?: number;
}

export type Fault = FaultKind & { match?: FaultMatch };

/** The faults of an account, tried in the order they were added; the first that fits strikes. */
export class Faults {
  readonly #random: () => number;
  #entries: Array<{ fault: Fault; seen: number; struck: number }> = [];

  constructor(random: () => number) {
    this.#random = random;
  }

  /** Adds one; it strikes the first matching call unless `match` says otherwise. Answers how often it struck, and ends it. */
  add(fault: Fault): { readonly struck: number; remove(): void } {
    const entry = { fault, seen: 0, struck: 0 };
    this.#entries.push(entry);
    return {
      get struck() {
        return entry.struck;
      },
      remove: () => {
        this.#entries = this.#entries.filter((other) => other !== entry);
      },
    };
  }

  clear(): void {
    this.#entries = [];
  }

  /** The fault that strikes this call, if any; counts it. */
  strike(call: Call): Fault | undefined {
    let found: Fault | undefined;
    for (const entry of this.#entries) {
      const { nth = 1, times = 1, chance = 1 } = entry.fault.match ?? {};
      if (!fits(entry.fault.match ?? {}, call)) continue;
      entry.seen += 1;
      if (found || entry.seen < nth || entry.struck >= times) continue;
      if (chance < 1 && this.#random() >= chance) continue;
      entry.struck += 1;
      found = entry.fault;
    }
    return found;
  }
}

function fits({ service, action, resource, dryRun }: FaultMatch, call: Call): boolean {
  return (
    (service === undefined || service === call.service) &&
    (action === undefined || like(action, call.action)) &&
    (dryRun === undefined || dryRun === call.dryRun) &&
    (resource === undefined || Object.values(call.params).some((value) => like(resource, value)))
  );
}

/** The refusal of a call that struck a limit: EC2 answers 503, the others 400. */
export function throttled(service: ServiceName): AwsError {
  return service === 'ec2'
    ? new AwsError('RequestLimitExceeded', 'Request limit exceeded.', 503)
    : service === 'elasticloadbalancing'
      ? new AwsError('ThrottlingException', 'Rate exceeded', 400)
      : new AwsError('Throttling', 'Rate exceeded', 400);
}

/** The answer of a service that fails by itself. */
export function broken(service: ServiceName, status = 500): AwsError {
  if (status === 503) {
    return service === 'ec2'
      ? new AwsError('Unavailable', 'The server is overloaded and cannot handle the request.', 503)
      : new AwsError('ServiceUnavailable', 'Service is unavailable', 503);
  }
  return service === 'ec2'
    ? new AwsError('InternalError', 'An internal error has occurred', status)
    : new AwsError('InternalFailure', 'We encountered an internal error. Please try again.', status);
}
