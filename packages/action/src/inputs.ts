import { parseDuration } from '@lockkeeper/wait';
import { InputError } from './error.ts';

/** Where inputs come from: INPUT_* in an action, an object in a test. */
export interface InputSource {
  /** The value as given; '' when it was not given. */
  get(name: string): string;
  /** The default that action.yml states; '' when there is none. */
  defaultOf(name: string): string;
  mask(secret: string): void;
}

export type CountOrPercent = { count: number } | { percent: number };

/**
 * Reads the inputs of an action, each by its kind. Problems are collected, not thrown, so that `done`
 * tells the user all of them at once. An empty input means its default.
 */
export class Inputs {
  /** Every name read so far; a contract test holds it against action.yml. */
  readonly names = new Set<string>();
  readonly #source: InputSource;
  readonly #problems: string[] = [];

  constructor(source: InputSource) {
    this.#source = source;
  }

  /** As given, white space and all; the default when blank. */
  raw(name: string): string {
    this.names.add(name);
    const given = this.#source.get(name);
    return given.trim() === '' ? this.#source.defaultOf(name) : given;
  }

  text(name: string): string {
    return this.raw(name).trim();
  }

  /** Whether the user gave something other than the default. */
  isSet(name: string): boolean {
    return this.text(name) !== this.#source.defaultOf(name).trim();
  }

  required(name: string, expected = 'a value'): string {
    const value = this.text(name);
    if (!value) this.problem(name, `is required; expected ${expected}`);
    return value;
  }

  matching(name: string, pattern: RegExp, expected: string): string {
    const value = this.text(name);
    if (value && !pattern.test(value)) this.reject(name, value, expected);
    return value;
  }

  /** Masked in the log before it is returned: whole, each line, and what its base64 decodes to, from 8 characters on. */
  secret(name: string): string {
    const value = this.raw(name);
    this.mask(value);
    return value;
  }

  /** Masks a part of an input that is secret, such as one header's value. */
  mask(secret: string): void {
    for (const part of secretParts(secret)) this.#source.mask(part);
  }

  /** One a line, or comma-separated. */
  list(name: string): string[] {
    return this.text(name)
      .split(/[\n,]/)
      .map((item) => item.trim())
      .filter(Boolean);
  }

  lines(name: string): string[] {
    return this.text(name)
      .split(/\r?\n/)
      .map((line) => line.trim())
      .filter(Boolean);
  }

  boolean(name: string): boolean {
    const value = this.text(name);
    if (!/^(true|false|)$/i.test(value)) this.reject(name, value, 'true or false');
    return value.toLowerCase() === 'true';
  }

  choice<const T extends string>(name: string, options: readonly [T, ...T[]]): T {
    const value = this.text(name);
    const found = options.find((option) => option === value);
    if (!found) this.reject(name, value, options.join(', '));
    return found ?? options[0];
  }

  integer(name: string, range: { min?: number; max?: number } = {}): number {
    return this.#integer(name, this.text(name), range);
  }

  integers(name: string, range: { min?: number; max?: number } = {}): number[] {
    return this.list(name).map((item) => this.#integer(name, item, range));
  }

  /** Milliseconds; a unit is required, because `20` was meant as minutes by one half of its readers. */
  duration(
    name: string,
    { min = 0, max = Number.POSITIVE_INFINITY }: { min?: number; max?: number } = {},
  ): number {
    const value = this.text(name);
    const ms = parseDuration(value);
    if (ms === undefined || ms < min || ms > max) {
      this.reject(name, value, 'a duration with its unit, such as 90s, 5m or 2h');
      return 0;
    }
    return ms;
  }

  countOrPercent(name: string, { min = 0 }: { min?: number } = {}): CountOrPercent {
    const value = this.text(name);
    const [, digits, sign] = /^(\d+)(%?)$/.exec(value) ?? [];
    const amount = Number(digits);
    if (digits === undefined || amount < min || (sign && amount > 100)) {
      this.reject(
        name,
        value,
        `a whole number${min > 0 ? ` from ${min}` : ''} or a percentage, such as 2 or 30%`,
      );
      return { count: min };
    }
    return sign ? { percent: amount } : { count: amount };
  }

  /** `name=value` (or `name: value`) lines, in order; the value may be empty and may hold the separator. */
  pairs(
    name: string,
    { separator = '=', key = /^\S+$/ }: { separator?: '=' | ':'; key?: RegExp } = {},
  ): Array<[string, string]> {
    return this.lines(name).flatMap((line) => {
      const at = line.indexOf(separator);
      const left = line.slice(0, at).trim();
      if (at < 1 || !key.test(left)) {
        this.reject(name, line, separator === '=' ? 'name=value, one a line' : 'name: value, one a line');
        return [];
      }
      return [[left, line.slice(at + 1).trim()] as [string, string]];
    });
  }

  /** For an input that is declared but not acted on yet: refused when set, because ignoring it would mislead. */
  notYet(name: string): void {
    if (this.isSet(name)) this.problem(name, 'is not supported by this version yet; leave it out');
  }

  /** The form of every refusal: `port: "22-80" is not …`. Secrets must not be passed as `value`. */
  reject(name: string, value: string, expected: string): void {
    const shown = value.length > 80 ? `${value.slice(0, 77)}…` : value;
    this.problem(name, `"${shown}" is not valid; expected ${expected}`);
  }

  problem(name: string, message: string): void {
    this.#problems.push(`${name}: ${message}`);
  }

  /** Throws one InputError with every problem found, in the order of reading. */
  done(): void {
    if (this.#problems.length > 0) throw new InputError([...new Set(this.#problems)]);
  }

  #integer(
    name: string,
    value: string,
    { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number },
  ): number {
    const number = Number(value);
    if (!/^\d+$/.test(value) || number < min || number > max) {
      const range = max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
      this.reject(name, value, `a whole number ${range}`);
      return min;
    }
    return number;
  }
}

/** What of a secret must be masked besides itself: the runner masks whole values, but tools print lines and decoded forms. */
export function secretParts(secret: string): string[] {
  const whole = secret.trim();
  if (!whole) return [];
  const parts = new Set<string>([whole]);
  for (const line of whole.split(/\r?\n|\\n/)) if (line.trim().length >= 8) parts.add(line.trim());
  const compact = whole.replace(/\s+/g, '');
  if (compact.length >= 12 && compact.length % 4 === 0 && /^[A-Za-z0-9+/]+=*$/.test(compact)) {
    const decoded = Buffer.from(compact, 'base64').toString('utf8');
    // A decoded form that is not text is never printed as text.
    if (!decoded.includes('\ufffd'))
      for (const line of decoded.split(/\r?\n/)) if (line.trim().length >= 8) parts.add(line.trim());
  }
  return [...parts];
}

/** Inputs as a test gives them: values and the defaults of an action.yml; masks are kept in `masked`. */
export function inputsOf(
  values: Record<string, string>,
  defaults: Record<string, string> = {},
): Inputs & { masked: string[] } {
  const masked: string[] = [];
  const inputs = new Inputs({
    get: (name) => values[name] ?? '',
    defaultOf: (name) => defaults[name] ?? '',
    mask: (secret) => masked.push(secret),
  });
  return Object.assign(inputs, { masked });
}
