import type { Account, Principal } from './account.ts';
import type { Call } from './calls.ts';
import type { Fault } from './faults.ts';
import { evaluate } from './iam.ts';
import { AwsError, type Query, type ServiceName, type Xml } from './query.ts';

/** What an API action gets: the account, the request, and a way to ask for leave before it touches anything. */
export class Turn {
  readonly account: Account;
  readonly service: ServiceName;
  readonly query: Query;
  readonly call: Call;
  readonly principal: Principal | undefined;
  readonly #fault: Fault | undefined;

  constructor(parts: {
    account: Account;
    service: ServiceName;
    query: Query;
    call: Call;
    principal: Principal | undefined;
    fault: Fault | undefined;
  }) {
    this.account = parts.account;
    this.service = parts.service;
    this.query = parts.query;
    this.call = parts.call;
    this.principal = parts.principal;
    this.#fault = parts.fault;
  }

  /**
   * Asks the caller's policies for `action` on every resource; throws the service's own refusal. Context holds the
   * keys of this action; those that every request has are added here.
   */
  authorize(
    action: string,
    resources: ReadonlyArray<{ arn: string; tags?: ReadonlyMap<string, string> | undefined }>,
    context: Record<string, string | readonly string[]> = {},
  ): void {
    const { account, principal } = this;
    const common = {
      'aws:RequestedRegion': account.region,
      'aws:PrincipalAccount': account.accountId,
      'aws:PrincipalArn': principal?.arn ?? '',
      'aws:userid': principal?.userId ?? '',
      'aws:CurrentTime': new Date(account.clock.now()).toISOString(),
      ...(this.service === 'ec2' ? { 'ec2:Region': account.region } : {}),
    };
    for (const { arn, tags } of resources) {
      if (!this.call.resources.includes(arn)) this.call.resources.push(arn);
      const ofResource: Record<string, string> = {};
      for (const [key, value] of tags ?? []) {
        ofResource[`aws:ResourceTag/${key}`] = value;
        if (this.service === 'ec2') ofResource[`ec2:ResourceTag/${key}`] = value;
      }
      const request = { action, resource: arn, context: { ...common, ...ofResource, ...context } };
      const verdicts = (principal?.policies() ?? []).map((policy) => evaluate(policy, request));
      if (this.#fault?.kind === 'denied' || verdicts.includes('explicit-deny')) {
        throw this.#refusal(action, arn, 'explicit-deny');
      }
      if (verdicts.length === 0 || verdicts.includes('implicit-deny')) {
        throw this.#refusal(action, arn, 'implicit-deny');
      }
    }
  }

  #refusal(action: string, resource: string, why: 'explicit-deny' | 'implicit-deny'): AwsError {
    const who = this.principal?.arn ?? 'anonymous';
    const because =
      why === 'explicit-deny'
        ? 'with an explicit deny in an identity-based policy'
        : `because no identity-based policy allows the ${action} action`;
    const message = `User: ${who} is not authorized to perform: ${action} on resource: ${resource} ${because}`;
    if (this.service !== 'ec2') return new AwsError('AccessDenied', message, 403);
    // The real one is encrypted and read with sts:DecodeAuthorizationMessage; this one is only base64.
    const encoded = Buffer.from(
      JSON.stringify({
        allowed: false,
        explicitDeny: why === 'explicit-deny',
        matchedStatements: { items: [] },
        context: { principal: { arn: who }, action, resource },
      }),
    ).toString('base64url');
    return new AwsError(
      'UnauthorizedOperation',
      `You are not authorized to perform this operation. ${message}. Encoded authorization failure message: ${encoded}`,
      403,
    );
  }

  /** Ends a permission dry run: on AWS its success is an error too. To be called once everything was authorized. */
  endDryRun(): void {
    if (this.query.boolean('DryRun')) {
      throw new AwsError('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.', 412);
    }
  }
}

/** One action of a service: reads the request, changes the account, and says what the answer holds. */
export type Operation = (turn: Turn) => Xml | Promise<Xml>;
export type Operations = Readonly<Record<string, Operation>>;
