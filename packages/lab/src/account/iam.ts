/**
 * Identity policies: the part of IAM that decides whether one call on one resource is allowed.
 * Resource policies, permission boundaries and service control policies are not part of it.
 */

type OneOrMany<T> = T | readonly T[];

export interface PolicyStatement {
  Sid?: string;
  Effect: 'Allow' | 'Deny';
  Action?: OneOrMany<string>;
  NotAction?: OneOrMany<string>;
  Resource?: OneOrMany<string>;
  NotResource?: OneOrMany<string>;
  Condition?: Record<string, Record<string, OneOrMany<string | number | boolean>>>;
}

export interface PolicyDocument {
  Version?: string;
  Id?: string;
  Statement: OneOrMany<PolicyStatement>;
}

/** One question to the policies. Context keys are compared without regard to case, as IAM does. */
export interface AccessRequest {
  /** `ec2:CreateTags` */
  action: string;
  /** An ARN, an ARN ending in `/*` for something not made yet, or `*`. */
  resource: string;
  /** `aws:RequestTag/name` and so on; a list for multivalued keys such as aws:TagKeys. */
  context: Record<string, string | readonly string[]>;
}

export type Verdict = 'allowed' | 'explicit-deny' | 'implicit-deny';

/** What one policy says: a matching Deny beats every Allow, and nothing matching is a refusal. */
export function evaluate(policy: PolicyDocument, request: AccessRequest): Verdict {
  const context = new Map(Object.entries(request.context).map(([key, value]) => [key.toLowerCase(), value]));
  let verdict: Verdict = 'implicit-deny';
  for (const statement of many(policy.Statement)) {
    if (!covers(statement, request, context)) continue;
    if (statement.Effect === 'Deny') return 'explicit-deny';
    verdict = 'allowed';
  }
  return verdict;
}

/** Throws a TypeError that names what this evaluator would not understand, so that no policy is half read. */
export function checkPolicy(policy: PolicyDocument): void {
  if (policy.Version !== undefined && policy.Version !== '2012-10-17' && policy.Version !== '2008-10-17') {
    throw new TypeError(`policy Version "${policy.Version}" is not 2012-10-17`);
  }
  for (const [index, statement] of many(policy.Statement).entries()) {
    const where = `policy statement ${statement.Sid ?? index + 1}`;
    const known = new Set(['Sid', 'Effect', 'Action', 'NotAction', 'Resource', 'NotResource', 'Condition']);
    for (const key of Object.keys(statement)) {
      if (!known.has(key)) throw new TypeError(`${where}: ${key} has no place in an identity policy`);
    }
    if (statement.Effect !== 'Allow' && statement.Effect !== 'Deny') {
      throw new TypeError(`${where}: Effect "${statement.Effect}" is neither Allow nor Deny`);
    }
    if ((statement.Action === undefined) === (statement.NotAction === undefined)) {
      throw new TypeError(`${where}: one of Action and NotAction is needed`);
    }
    if ((statement.Resource === undefined) === (statement.NotResource === undefined)) {
      throw new TypeError(`${where}: one of Resource and NotResource is needed`);
    }
    for (const action of [...many(statement.Action ?? []), ...many(statement.NotAction ?? [])]) {
      if (action !== '*' && !/^[\w-]+:[\w*?]+$/.test(action)) {
        throw new TypeError(`${where}: action "${action}" is not service:Action`);
      }
    }
    for (const resource of [...many(statement.Resource ?? []), ...many(statement.NotResource ?? [])]) {
      if (resource !== '*' && resource.split(':').length < 6) {
        throw new TypeError(`${where}: resource "${resource}" is neither an ARN nor *`);
      }
    }
    for (const operator of Object.keys(statement.Condition ?? {})) {
      const { comparison } = parseOperator(operator);
      if (!Object.hasOwn(comparisons, comparison) && comparison !== 'Null') {
        throw new TypeError(`${where}: condition operator ${operator} is not supported`);
      }
    }
  }
}

type Context = ReadonlyMap<string, string | readonly string[]>;

function covers(statement: PolicyStatement, request: AccessRequest, context: Context): boolean {
  const action = request.action.toLowerCase();
  const actionNamed = (patterns: OneOrMany<string>) =>
    many(patterns).some((pattern) => like(pattern.toLowerCase(), action));
  if (statement.Action !== undefined && !actionNamed(statement.Action)) return false;
  if (statement.NotAction !== undefined && actionNamed(statement.NotAction)) return false;

  const resourceNamed = (patterns: OneOrMany<string>) =>
    many(patterns).some((pattern) => {
      const resolved = substitute(pattern, context);
      return resolved !== undefined && like(resolved, request.resource);
    });
  if (statement.Resource !== undefined && !resourceNamed(statement.Resource)) return false;
  if (statement.NotResource !== undefined && resourceNamed(statement.NotResource)) return false;

  return Object.entries(statement.Condition ?? {}).every(([operator, keys]) =>
    Object.entries(keys).every(([key, values]) => holds(operator, key, many(values).map(String), context)),
  );
}

/** Positive comparisons need one value to fit, negated ones need none to. */
const comparisons: Record<string, { negated: boolean; fits: (actual: string, wanted: string) => boolean }> = {
  StringEquals: { negated: false, fits: (a, w) => a === w },
  StringNotEquals: { negated: true, fits: (a, w) => a === w },
  StringEqualsIgnoreCase: { negated: false, fits: (a, w) => a.toLowerCase() === w.toLowerCase() },
  StringNotEqualsIgnoreCase: { negated: true, fits: (a, w) => a.toLowerCase() === w.toLowerCase() },
  StringLike: { negated: false, fits: (a, w) => like(w, a) },
  StringNotLike: { negated: true, fits: (a, w) => like(w, a) },
  ArnEquals: { negated: false, fits: (a, w) => like(w, a) },
  ArnLike: { negated: false, fits: (a, w) => like(w, a) },
  ArnNotEquals: { negated: true, fits: (a, w) => like(w, a) },
  ArnNotLike: { negated: true, fits: (a, w) => like(w, a) },
  Bool: { negated: false, fits: (a, w) => a.toLowerCase() === w.toLowerCase() },
  NumericEquals: { negated: false, fits: (a, w) => Number(a) === Number(w) },
  NumericNotEquals: { negated: true, fits: (a, w) => Number(a) === Number(w) },
  NumericLessThan: { negated: false, fits: (a, w) => Number(a) < Number(w) },
  NumericLessThanEquals: { negated: false, fits: (a, w) => Number(a) <= Number(w) },
  NumericGreaterThan: { negated: false, fits: (a, w) => Number(a) > Number(w) },
  NumericGreaterThanEquals: { negated: false, fits: (a, w) => Number(a) >= Number(w) },
  DateLessThan: { negated: false, fits: (a, w) => Date.parse(a) < Date.parse(w) },
  DateGreaterThan: { negated: false, fits: (a, w) => Date.parse(a) > Date.parse(w) },
};

function parseOperator(operator: string): {
  quantifier: 'ForAllValues' | 'ForAnyValue' | undefined;
  comparison: string;
  ifExists: boolean;
} {
  const [, quantifier, comparison, ifExists] =
    /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(operator) ?? [];
  return {
    quantifier: quantifier as 'ForAllValues' | 'ForAnyValue' | undefined,
    comparison: comparison ?? operator,
    ifExists: ifExists !== undefined,
  };
}

function holds(operator: string, key: string, wanted: string[], context: Context): boolean {
  const { quantifier, comparison, ifExists } = parseOperator(operator);
  const found = context.get(key.toLowerCase());
  if (comparison === 'Null') return wanted.some((value) => (value === 'true') === (found === undefined));
  const { negated, fits } = comparisons[comparison]!;
  const actual = found === undefined ? [] : many(found);
  if (actual.length === 0) {
    // An absent key satisfies IfExists, ForAllValues and the negated comparisons, and nothing else.
    return ifExists || quantifier === 'ForAllValues' || (negated && quantifier === undefined);
  }
  const one = (value: string) => {
    const some = wanted.some((pattern) => {
      const resolved = substitute(pattern, context);
      return resolved !== undefined && fits(value, resolved);
    });
    return negated ? !some : some;
  };
  if (quantifier === 'ForAllValues') return actual.every(one);
  if (quantifier === 'ForAnyValue') return actual.some(one);
  return negated ? actual.every(one) : actual.some(one);
}

/** Puts policy variables in; undefined when one has no value, and then the pattern fits nothing. */
function substitute(pattern: string, context: Context): string | undefined {
  let missing = false;
  const text = pattern.replace(/\$\{([^}]+)\}/g, (_, name: string) => {
    if (name === '*' || name === '?' || name === '$') return name;
    const value = context.get(name.toLowerCase());
    if (typeof value !== 'string') missing = true;
    return typeof value === 'string' ? value : '';
  });
  return missing ? undefined : text;
}

/** `*` is any run of characters, `?` any one; everything else is itself. */
export function like(pattern: string, text: string): boolean {
  const source = pattern.replace(/[\\^$.*+?()[\]{}|]/g, (char) =>
    char === '*' ? '[^]*' : char === '?' ? '[^]' : `\\${char}`,
  );
  return new RegExp(`^${source}$`).test(text);
}

function many<T>(value: OneOrMany<T>): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : [value as T];
}
