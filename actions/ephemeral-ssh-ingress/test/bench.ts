import { inputsOf, memoryLog } from '@lockkeeper/action';
import { awsConfig, openSecurityGroups, type SecurityGroups } from '@lockkeeper/aws';
import { Account, type LabClock, type Role, serveAws } from '@lockkeeper/lab';
import { type Clock, fakeClock } from '@lockkeeper/wait';
import { actions, contractOf } from '../../../tools/manifest.ts';
import { close, closeAfter, type Done, open, type StepOutside, sweepOnly } from '../src/ingress.ts';
import { parseInputs } from '../src/inputs.ts';
import type { IngressRecord } from '../src/record.ts';
import { accountId, region, shippedPolicy } from './account.ts';
import type { Fate } from './fate.ts';

const contract = contractOf(actions().find(({ name }) => name === 'ephemeral-ssh-ingress')!);
const modes = { open, close, sweep: sweepOnly };

/** The address that the runs of a bench have unless told otherwise. */
export const address = '20.102.35.7/32';

/**
 * The lab's account behind its real HTTP endpoint, and steps that run in this process: the SDK and all of the action
 * but main.ts, on a clock that a wait moves on.
 */
export class Bench {
  readonly account: Account;
  readonly clock: Clock;
  /** What the steps may do; its policy can be changed at any time. */
  readonly role: Role;
  readonly #endpoint: Awaited<ReturnType<typeof serveAws>>;
  readonly #groups: SecurityGroups & { close(): void };
  #runs = 0;

  private constructor(parts: {
    account: Account;
    clock: Clock;
    role: Role;
    endpoint: Awaited<ReturnType<typeof serveAws>>;
    groups: SecurityGroups & { close(): void };
  }) {
    this.account = parts.account;
    this.clock = parts.clock;
    this.role = parts.role;
    this.#endpoint = parts.endpoint;
    this.#groups = parts.groups;
  }

  /** The dates of the account's answers are the wall's: unless asked for, leases go by the bench's own clock. */
  static async open(clock: Clock = fakeClock(Date.now()), { awsTime = false } = {}): Promise<Bench> {
    const account = new Account({ clock: labClockOf(clock), seed: 7, region, accountId });
    const endpoint = await serveAws(account);
    const role = account.addRole({
      arn: `arn:aws:iam::${accountId}:role/deploy`,
      trust: { subjects: [], audience: '' },
      policy: shippedPolicy('*'),
    });
    const { accessKeyId, secretAccessKey, sessionToken } = account.openSession(role, 'bench', 3_650 * 86_400);
    const config = awsConfig({
      region,
      idToken: async () => '',
      sessionName: '',
      env: {},
      clock,
      log: memoryLog(),
      mask: () => {},
    });
    const credentials = async () => ({ accessKeyId, secretAccessKey, sessionToken });
    const groups = openSecurityGroups({ ...config, endpoint: endpoint.url, credentials }, { clock });
    const timed = awsTime ? groups : { ...groups, now: clock.now };
    return new Bench({ account, clock, role, endpoint, groups: timed });
  }

  /** A step of a run of its own, or of the run given. */
  step(inputs: Record<string, string>, of: { run?: string; repository?: string } = {}): BenchStep {
    const { run = `${++this.#runs}.1`, repository = 'octo/app' } = of;
    const given = parseInputs(inputsOf({ cidr: address, region, ...inputs }, contract.inputs));
    return new BenchStep(given, { repository, run, job: 'feedc0de0000' }, this.#groups, this.clock);
  }

  async close(): Promise<void> {
    this.#groups.close();
    await this.#endpoint.close();
  }
}

type Inputs = ReturnType<typeof parseInputs>;

/** Main and post of one step; what main saves is all that post has. */
export class BenchStep {
  readonly log = memoryLog();
  record: IngressRecord | undefined;
  readonly #inputs: Inputs;
  readonly #holder: StepOutside['holder'];
  readonly #groups: SecurityGroups;
  readonly #clock: Clock;

  constructor(inputs: Inputs, holder: StepOutside['holder'], groups: SecurityGroups, clock: Clock) {
    this.#inputs = inputs;
    this.#holder = holder;
    this.#groups = groups;
    this.#clock = clock;
  }

  main(): Promise<Done> {
    return modes[this.#inputs.mode](this.#inputs, this.#outside());
  }

  async post(): Promise<Pick<Done, 'failures' | 'summary'>> {
    if (!this.record) return { failures: [], summary: '' };
    return closeAfter(this.record, this.#outside());
  }

  /** Main until it ends or is killed. */
  async mainUntil(fate: Fate): Promise<Done | 'killed'> {
    return Promise.race([modes[this.#inputs.mode](this.#inputs, fate.rules(this.#outside())), fate.died]);
  }

  async postUntil(fate: Fate): Promise<Pick<Done, 'failures'> | 'killed' | undefined> {
    if (!this.record) return undefined;
    return Promise.race([closeAfter(this.record, fate.rules(this.#outside())), fate.died]);
  }

  #outside(): StepOutside {
    return {
      groups: this.#groups,
      clock: this.#clock,
      log: this.log,
      signal: new AbortController().signal,
      holder: this.#holder,
      route: {},
      save: (record) => {
        // As on disk: what is changed afterwards does not count.
        this.record = structuredClone(record);
      },
    };
  }
}

function labClockOf(clock: Clock): LabClock {
  return {
    scale: 1,
    now: () => clock.now(),
    sleep: (ms) => clock.sleep(ms),
    after(ms, fn) {
      const stop = new AbortController();
      clock.sleep(ms, stop.signal).then(fn, () => {});
      return { cancel: () => stop.abort() };
    },
    close() {},
  };
}
