import { createHash } from 'node:crypto';
import { globSync, readFileSync, statSync } from 'node:fs';
import { join, matchesGlob } from 'node:path';
import { data, Evaluator, Lexer, Parser } from '@actions/expressions';
import type { FunctionDefinition } from '@actions/expressions/funcs/info';
import type { Token } from '@actions/expressions/lexer';
import { TokenType } from '@actions/expressions/lexer';
import { truthy } from '@actions/expressions/result';

/**
 * What an expression can see: one plain JSON value a context. A context that is left out is unknown to the
 * expression, as GitHub's is in places where it is not available (`secrets` in an action's defaults).
 */
export interface Contexts {
  github?: unknown;
  env?: unknown;
  vars?: unknown;
  secrets?: unknown;
  job?: unknown;
  steps?: unknown;
  runner?: unknown;
  needs?: unknown;
  strategy?: unknown;
  matrix?: unknown;
  inputs?: unknown;
}

/** What the status functions answer from. `skipped` is known at job level only: neither success nor failure. */
export type ExpressionStatus = 'success' | 'failure' | 'cancelled' | 'skipped';

type Value = data.ExpressionData;

/** An expression that cannot be read or evaluated; the message names it and the place in it, counted from 1. */
export class ExpressionError extends Error {
  readonly expression: string;
  readonly position: number;
  readonly reason: string;
  constructor(expression: string, position: number, reason: string, cause?: unknown) {
    super(`expression "${expression.trim()}": ${reason} at position ${position}`, { cause });
    this.name = 'ExpressionError';
    this.expression = expression.trim();
    this.position = position;
    this.reason = reason;
  }
}

const statusFunctions = ['success', 'failure', 'cancelled', 'always'];

/**
 * Replaces every `${{ expression }}` in a text by its value.
 * The status functions are known only when a status is given, as GitHub knows them only in `if:`.
 */
export function evaluateTemplate(text: string, contexts: Contexts, status?: ExpressionStatus): string {
  return splitTemplate(text)
    .map((part) =>
      'literal' in part ? part.literal : evaluate(part.expression, contexts, status).coerceString(),
    )
    .join('');
}

/**
 * Like evaluateTemplate, but a text that is nothing but one expression keeps its type: `${{ fromJSON('[1]') }}`
 * is a list, `${{ true }}` a boolean. The answer is plain JSON.
 */
export function evaluateValue(text: string, contexts: Contexts, status?: ExpressionStatus): unknown {
  const parts = splitTemplate(text);
  const only = parts[0];
  if (parts.length === 1 && only && 'expression' in only) {
    return toPlain(evaluate(only.expression, contexts, status));
  }
  return evaluateTemplate(text, contexts, status);
}

/**
 * Decides an `if:`, written with or without `${{ }}`. Without a status function in it the condition means
 * `success() && (…)`; with `raw` (an action's `pre-if` and `post-if`) it is taken as it stands.
 */
export function evaluateCondition(
  condition: string,
  contexts: Contexts,
  status: ExpressionStatus,
  { raw = false }: { raw?: boolean } = {},
): boolean {
  const expression = bareCondition(condition);
  if (expression === '') return raw || status === 'success';
  if (!raw && !callsStatusFunction(expression) && status !== 'success') {
    // What is cut short is still read, so that a mistake shows in every run and not only in a green one.
    parse(expression, contexts, status);
    return false;
  }
  return truthy(evaluate(expression, contexts, status));
}

/** Throws an ExpressionError when a text holds an expression that cannot be read, or names an unknown context. */
export function checkTemplate(text: string, names: readonly (keyof Contexts)[]): void {
  for (const part of splitTemplate(text)) {
    if ('expression' in part) parse(part.expression, emptyContexts(names), undefined);
  }
}

/** The names after `context.` in a text or a condition: `secrets.A` and `secrets['B']` give A and B. */
export function namesUsed(text: string, context: keyof Contexts): string[] {
  const names: string[] = [];
  for (const part of splitTemplate(text)) {
    if ('expression' in part) names.push(...namesInExpression(part.expression, context));
  }
  return names;
}

/** Whether any `${{ }}` is in a text. */
function hasExpression(text: string): boolean {
  return text.includes('${{');
}

type Part = { literal: string } | { expression: string };

function splitTemplate(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  for (;;) {
    const open = text.indexOf('${{', at);
    if (open < 0) break;
    if (open > at) parts.push({ literal: text.slice(at, open) });
    const close = closingBraces(text, open + 3);
    if (close === undefined) {
      throw new ExpressionError(
        text.slice(open).split('\n', 1)[0] ?? '',
        1,
        'the "${{" is never closed by "}}"',
      );
    }
    parts.push({ expression: text.slice(open + 3, close) });
    at = close + 2;
  }
  if (at < text.length || parts.length === 0) parts.push({ literal: text.slice(at) });
  return parts;
}

/** Where the `}}` is that ends the expression; one inside a quoted string does not count. */
function closingBraces(text: string, from: number): number | undefined {
  let quoted = false;
  for (let at = from; at < text.length; at++) {
    if (text[at] === "'") quoted = !quoted;
    else if (!quoted && text.startsWith('}}', at)) return at;
  }
  return undefined;
}

function bareCondition(condition: string): string {
  const trimmed = condition.trim();
  if (!hasExpression(trimmed)) return trimmed;
  const parts = splitTemplate(trimmed);
  const only = parts[0];
  if (parts.length === 1 && only && 'expression' in only) return only.expression.trim();
  throw new ExpressionError(
    trimmed,
    1,
    'text around "${{ }}" makes the condition a string, which is always true; put all of it inside one "${{ }}"',
  );
}

function lex(expression: string): Token[] {
  let tokens: Token[];
  try {
    tokens = new Lexer(expression).lex().tokens;
  } catch (error) {
    // The lexer's errors are plain; the position (counted from 1) is in the text.
    const text = error instanceof Error ? error.message : String(error);
    const found = /^(.*?)\. Located at position (\d+)/s.exec(text);
    throw new ExpressionError(expression, Number(found?.[2] ?? 1), found?.[1] ?? text, error);
  }
  for (const token of tokens) {
    // The lexer undoubles only the first '' of a string.
    if (token.type === TokenType.STRING) token.value = token.lexeme.slice(1, -1).replaceAll("''", "'");
  }
  return tokens;
}

function parse(expression: string, contexts: Contexts, status: ExpressionStatus | undefined) {
  const functions = functionsFor(contexts, status);
  const tokens = lex(expression);
  if (tokens.every((token) => token.type === TokenType.EOF)) {
    throw new ExpressionError(expression, 1, 'an expression is missing');
  }
  try {
    return { tree: new Parser(tokens, Object.keys(contexts), functions).parse(), tokens, functions };
  } catch (error) {
    const place = (error as { pos?: { line: number; column: number } }).pos;
    const before = expression.split('\n').slice(0, place?.line ?? 0);
    const offset = before.reduce((sum, line) => sum + line.length + 1, 0) + (place?.column ?? 0);
    throw new ExpressionError(
      expression,
      offset + 1,
      error instanceof Error ? error.message : String(error),
      error,
    );
  }
}

function evaluate(expression: string, contexts: Contexts, status: ExpressionStatus | undefined): Value {
  const { tree, tokens, functions } = parse(expression, contexts, status);
  const named = new Set(
    tokens.filter((token) => token.type === TokenType.IDENTIFIER).map((token) => token.lexeme.toLowerCase()),
  );
  const dictionary = new data.Dictionary();
  for (const [name, value] of Object.entries(contexts)) {
    if (named.has(name.toLowerCase())) dictionary.add(name, toData(value ?? {}));
  }
  try {
    const table = new Map(functions.map((definition) => [definition.name.toLowerCase(), definition]));
    return new Evaluator(tree, dictionary, table).evaluate();
  } catch (error) {
    // Evaluation errors carry no position: the whole expression is the place.
    throw new ExpressionError(expression, 1, error instanceof Error ? error.message : String(error), error);
  }
}

function callsStatusFunction(expression: string): boolean {
  const tokens = lex(expression);
  return tokens.some(
    (token, index) =>
      token.type === TokenType.IDENTIFIER &&
      statusFunctions.includes(token.lexeme.toLowerCase()) &&
      tokens[index - 1]?.type !== TokenType.DOT &&
      tokens[index + 1]?.type === TokenType.LEFT_PAREN,
  );
}

function namesInExpression(expression: string, context: string): string[] {
  const tokens = lex(expression);
  const names: string[] = [];
  tokens.forEach((token, index) => {
    if (token.type !== TokenType.IDENTIFIER || token.lexeme.toLowerCase() !== context) return;
    if (tokens[index - 1]?.type === TokenType.DOT) return;
    const [next, name, after] = tokens.slice(index + 1, index + 4);
    if (next?.type === TokenType.DOT && name?.type === TokenType.IDENTIFIER) names.push(name.lexeme);
    if (next?.type === TokenType.LEFT_BRACKET && name?.type === TokenType.STRING) {
      if (after?.type === TokenType.RIGHT_BRACKET) names.push(String(name.value));
    }
  });
  return names;
}

function functionsFor(contexts: Contexts, status: ExpressionStatus | undefined): FunctionDefinition[] {
  const answer = (name: string, value: boolean): FunctionDefinition => ({
    name,
    minArgs: 0,
    maxArgs: 0,
    call: () => new data.BooleanData(value),
  });
  const functions: FunctionDefinition[] = [
    {
      name: 'hashFiles',
      minArgs: 1,
      maxArgs: 255,
      call: (...patterns) => {
        const workspace = (contexts.github as { workspace?: unknown } | undefined)?.workspace;
        if (typeof workspace !== 'string') throw new Error('hashFiles needs a workspace; here is none');
        return new data.StringData(
          hashFiles(
            workspace,
            patterns.map((pattern) => pattern.coerceString()),
          ),
        );
      },
    },
  ];
  if (status !== undefined) {
    functions.push(
      answer('success', status === 'success'),
      answer('failure', status === 'failure'),
      answer('cancelled', status === 'cancelled'),
      answer('always', true),
    );
  }
  return functions;
}

/** SHA-256 over the SHA-256 of each matching file, '' when nothing matches; from toolkit's internal-hash-files.ts. */
function hashFiles(workspace: string, patterns: string[]): string {
  const lines = patterns.flatMap((pattern) => pattern.split('\n')).map((line) => line.trim());
  const wanted = lines.filter((line) => line !== '' && !line.startsWith('!') && !line.startsWith('#'));
  const unwanted = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
  const found = new Set(wanted.flatMap((pattern) => globSync(pattern, { cwd: workspace })));
  const files = [...found]
    .filter((file) => !file.startsWith('..') && !unwanted.some((pattern) => matchesGlob(file, pattern)))
    .filter((file) => statSync(join(workspace, file)).isFile())
    .sort();
  if (files.length === 0) return '';
  const whole = createHash('sha256');
  for (const file of files) {
    whole.update(
      createHash('sha256')
        .update(readFileSync(join(workspace, file)))
        .digest(),
    );
  }
  return whole.digest('hex');
}

function emptyContexts(names: readonly (keyof Contexts)[]): Contexts {
  return Object.fromEntries(names.map((name) => [name, {}]));
}

function toData(value: unknown): Value {
  if (value === null || value === undefined) return new data.Null();
  if (typeof value === 'string') return new data.StringData(value);
  if (typeof value === 'number') return new data.NumberData(value);
  if (typeof value === 'boolean') return new data.BooleanData(value);
  if (Array.isArray(value)) return new data.Array(...value.map(toData));
  // Their look-up table is a plain object and loses a key named "constructor".
  const dictionary = new data.Dictionary();
  Object.assign(dictionary, { indexMap: Object.create(null) });
  for (const [key, entry] of Object.entries(value)) {
    if (entry !== undefined) dictionary.add(key, toData(entry));
  }
  return dictionary;
}

function toPlain(value: Value): unknown {
  const text = JSON.stringify(value, data.replacer);
  return text === undefined ? undefined : JSON.parse(text);
}
