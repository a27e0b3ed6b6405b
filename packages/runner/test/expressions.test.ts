import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  checkTemplate,
  ExpressionError,
  type ExpressionStatus,
  evaluateCondition,
  evaluateTemplate,
  evaluateValue,
  namesUsed,
} from '../src/expressions.ts';

const contexts = {
  github: { ref: 'refs/heads/main', event: { commits: [{ id: 'a' }, { id: 'b' }] }, run_number: 7 },
  env: { NAME: 'web', EMPTY: '', constructor: 'kept' },
  vars: {},
  secrets: { TOKEN: 'hush' },
  steps: { deploy: { outcome: 'failure', outputs: { result: 'deployed' } } },
  needs: { test: { result: 'success', outputs: { tag: 'v1' } } },
  matrix: { os: 'linux', count: 2, flag: true, list: [1, 2] },
  inputs: { dry: false },
};

describe('a template', () => {
  it.each<[string, string]>([
    ['plain', 'plain'],
    ['', ''],
    ['${{ env.NAME }}', 'web'],
    ['a ${{ env.NAME }} b ${{github.run_number}}', 'a web b 7'],
    ["${{ 'it''s }} fine, isn''t it' }}", "it's }} fine, isn't it"],
    ['${{ vars.UNSET }}', ''],
    ['${{ vars.UNSET.deeper.still }}', ''],
    ["${{ vars.UNSET || 'default' }}", 'default'],
    ["${{ matrix.flag && 'yes' || 'no' }}", 'yes'],
    ["${{ inputs.dry && 'yes' || 'no' }}", 'no'],
    ['${{ ENV.name }}', 'web'],
    ["${{ env['NAME'] }}", 'web'],
    ['${{ env.constructor }}', 'kept'],
    ['${{ matrix.list }}', 'Array'],
    ['${{ matrix }}', 'Object'],
    ['${{ matrix.list[1] }}', '2'],
    ['${{ matrix.list[9] }}', ''],
    ["${{ join(github.event.commits.*.id, '-') }}", 'a-b'],
    ["${{ format('{0}:{1} {{x}}', env.NAME, matrix.count) }}", 'web:2 {x}'],
    ["${{ contains(github.ref, 'MAIN') }}", 'true'],
    ['${{ contains(matrix.list, 2) }}', 'true'],
    ["${{ startsWith('refs/tags/v1', 'refs/tags/') }}", 'true'],
    ["${{ endsWith('a.yml', '.YML') }}", 'true'],
    ['${{ fromJSON(\'{"a":[1,2]}\').a[1] }}', '2'],
    ['${{ toJSON(needs.test.outputs) }}', '{\n  "tag": "v1"\n}'],
    ['${{ 1 == 1.0 }} ${{ 0x10 }} ${{ -2.50 }} ${{ null }} ${{ true }}', 'true 16 -2.5  true'],
  ])('%j is %j', (text, value) => {
    expect(evaluateTemplate(text, contexts)).toBe(value);
  });

  it.each<[string, boolean]>([
    ["'' == 0", true],
    ["'1' == 1", true],
    ["'a' == 0", false],
    ['null == 0', true],
    ['null == false', true],
    ['true == 1', true],
    ["'TRUE' == 'true'", true],
    ["'b' > 'A'", true],
    ['NaN == NaN', false],
    ["!'' && !0 && !null", true],
    ['true || false && false', true],
    ['(true || false) && false', false],
    ['!true == false', true],
    ['1 < 2 == true', true],
  ])('%s is %s (coercion and precedence)', (expression, value) => {
    expect(evaluateTemplate(`\${{ ${expression} }}`, contexts)).toBe(String(value));
  });

  it('keeps the type when it is nothing but one expression', () => {
    expect(evaluateValue('${{ matrix.list }}', contexts)).toEqual([1, 2]);
    expect(evaluateValue('${{ matrix.flag }}', contexts)).toBe(true);
    expect(evaluateValue('x${{ matrix.flag }}', contexts)).toBe('xtrue');
    expect(evaluateValue('5', contexts)).toBe('5');
  });

  it.each<[string, number, RegExp]>([
    ['${{ }}', 1, /an expression is missing/],
    ['${{ env.NAME', 1, /never closed/],
    ['${{ nothing.x }}', 2, /Unrecognized named-value: 'nothing'/],
    ['${{ nothing() }}', 2, /Unrecognized function: 'nothing'/],
    ['${{ contains(1) }}', 2, /Too few parameters/],
    ['${{ 1 + }}', 4, /Unexpected symbol: '\+'/],
    ['${{ env..NAME }}', 6, /Unexpected symbol/],
    ["${{ 'open }}", 1, /never closed/],
    ['${{ env.A == "x" }}', 11, /Unexpected symbol: '"x"'/],
    ['${{ success() }}', 2, /Unrecognized function: 'success'/],
    ["${{ fromJSON('{') }}", 1, /Error parsing JSON/],
    ["${{ hashFiles('x') }}", 1, /needs a workspace/],
  ])('%j is refused at position %i', (text, position, reason) => {
    let seen: unknown;
    try {
      evaluateTemplate(text, contexts);
    } catch (error) {
      seen = error;
    }
    expect(seen).toBeInstanceOf(ExpressionError);
    const error = seen as ExpressionError;
    expect(error.message).toMatch(reason);
    expect(error.position).toBe(position);
    expect(error.message).toContain(`at position ${position}`);
  });

  it('hashes files of the workspace as GitHub does: the hash of their hashes, nothing for no file', () => {
    const workspace = mkdtempSync(join(tmpdir(), 'lk-hash-'));
    try {
      writeFileSync(join(workspace, 'a.lock'), 'a');
      writeFileSync(join(workspace, 'b.lock'), 'b');
      const hash = (text: string) => evaluateTemplate(text, { github: { workspace } });
      // printf a | sha256sum, printf b | sha256sum, both as bytes | sha256sum
      expect(hash("${{ hashFiles('*.lock') }}")).toBe(
        'e5a01fee14e0ed5c48714f22180f25ad8365b53f9779f79dc4a3d7e93963f94a',
      );
      expect(hash("${{ hashFiles('*.lock', '!b.lock') }}")).toBe(hash("${{ hashFiles('a.lock') }}"));
      expect(hash("${{ hashFiles('none') }}")).toBe('');
    } finally {
      rmSync(workspace, { recursive: true });
    }
  });
});

describe('a condition', () => {
  const statuses: ExpressionStatus[] = ['success', 'failure', 'cancelled', 'skipped'];
  it.each<[string, boolean[]]>([
    ['', [true, false, false, false]],
    ['true', [true, false, false, false]],
    ['${{ true }}', [true, false, false, false]],
    ['success()', [true, false, false, false]],
    ['failure()', [false, true, false, false]],
    ['cancelled()', [false, false, true, false]],
    ['always()', [true, true, true, true]],
    ['!cancelled()', [true, true, false, true]],
    ['success() || failure()', [true, true, false, false]],
    ["failure() && steps.deploy.outputs.result == 'deployed'", [false, true, false, false]],
    ["github.ref == 'refs/heads/main'", [true, false, false, false]],
    ["'always()' != ''", [true, false, false, false]],
    ["format('{0}', always())", [true, true, true, true]],
    ["needs.test.result == 'failure'", [false, false, false, false]],
    ['inputs.dry', [false, false, false, false]],
  ])('%j for success, failure, cancelled, skipped is %j', (condition, expected) => {
    expect(statuses.map((status) => evaluateCondition(condition, contexts, status))).toEqual(expected);
  });

  it('of an action (post-if) gets no implied success()', () => {
    expect(evaluateCondition('true', contexts, 'failure', { raw: true })).toBe(true);
  });

  it('is read even when the job has failed already', () => {
    expect(() => evaluateCondition('nothing.x', contexts, 'failure')).toThrow(/Unrecognized named-value/);
  });

  it('with text around the expression, always true on GitHub, is refused', () => {
    expect(() => evaluateCondition("${{ github.ref }} == 'x'", contexts, 'success')).toThrow(/always true/);
  });
});

describe('checking without evaluating', () => {
  it('knows only the contexts of the place', () => {
    expect(() => checkTemplate('${{ secrets.A }}', ['github'])).toThrow(
      /Unrecognized named-value: 'secrets'/,
    );
    checkTemplate('${{ secrets.A }}', ['secrets']);
  });
  it('finds the names a text asks for', () => {
    const text = "${{ secrets.A }} ${{ secrets['B'] }} ${{ format('secrets.C', x.secrets.D, SECRETS.E) }}";
    expect(namesUsed(text, 'secrets')).toEqual(['A', 'B', 'E']);
  });
});
