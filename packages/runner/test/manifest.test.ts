import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { inputVariable, loadManifest, ManifestError, parseManifest } from '../src/manifest.ts';
import { directory, removeDirectories } from './fake-action.ts';

afterAll(removeDirectories);

const good = 'runs: {using: node24, main: dist/main.js, post: dist/post.js}';

describe('a manifest', () => {
  it('is read with its inputs, defaults and scripts', () => {
    expect(
      parseManifest(
        `name: X
inputs:
  a: {description: A, default: 22, type: number}
  b: {default: true, required: true}
  c:
  old: {deprecationMessage: use a}
outputs: {url: {description: where}}
branding: {icon: anchor}
${good}
`,
        'action.yml',
      ),
    ).toEqual({
      file: 'action.yml',
      name: 'X',
      inputs: [
        { name: 'a', default: '22' },
        { name: 'b', default: 'true' },
        { name: 'c' },
        { name: 'old', deprecationMessage: 'use a' },
      ],
      outputs: ['url'],
      using: 'node24',
      scripts: { main: 'dist/main.js', post: 'dist/post.js' },
      conditions: { pre: 'always()', post: 'always()' },
    });
  });

  it.each([
    ['runs: {using: NODE24, main: m.js, post: p.js, post-if: failure()}', 'node24', 'failure()'],
    ['runs: {using: node20, main: m.js, post: p.js}', 'node20', 'always()'],
  ])('takes %s', (text, using, post) => {
    expect(parseManifest(text, 'action.yml')).toMatchObject({ using, conditions: { post } });
  });

  it.each([
    ['runs: {using: node24, main: m.js, env: {A: b}}', "Unexpected value 'env'"],
    ['runs: {using: node24, main: m.js, args: []}', "Unexpected value 'args'"],
    ['runs: {using: node24, main: m.js, steps: []}', "Unexpected value 'steps'"],
    ['runs: {using: node22, main: m.js}', "'using: node22' is not supported"],
    ['runs: {using: composite, steps: []}', 'is not run here'],
    ['runs: {using: node24}', "'runs.main'"],
    ['runs: {main: m.js}', "'runs.using'"],
    ['name: x', "'runs'"],
    ['[', 'is not YAML'],
    ['just text', 'is not a mapping'],
    [`inputs: {a: {default: "\${{ env.A }}"}}\n${good}`, "the default of input 'a'"],
    [`inputs: {a: {default: "\${{ secrets.A }}"}}\n${good}`, "the default of input 'a'"],
    [`inputs: {a: {default: "\${{ inputs.b }}"}}\n${good}`, "the default of input 'a'"],
  ])('is refused: %s', (text, message) => {
    expect(() => parseManifest(text, 'action.yml')).toThrow(ManifestError);
    expect(() => parseManifest(text, 'action.yml')).toThrow(message);
  });

  it.each(['github.token', 'strategy.job-index', 'matrix.os', 'job.status', 'runner.temp', "hashFiles('x')"])(
    'may have a default that reads %s',
    (expression) => {
      const text = `inputs: {a: {default: "\${{ ${expression} }}"}}\n${good}`;
      expect(parseManifest(text, 'action.yml').inputs[0]?.default).toBe(`\${{ ${expression} }}`);
    },
  );

  it('is action.yml before action.yaml', async () => {
    const path = await directory();
    await expect(async () => loadManifest(path)).rejects.toThrow("Can't find 'action.yml'");
    await writeFile(join(path, 'action.yaml'), `name: second\n${good}`);
    expect(loadManifest(path).name).toBe('second');
    await writeFile(join(path, 'action.yml'), `name: first\n${good}`);
    expect(loadManifest(path).name).toBe('first');
  });
});

describe('the variable of an input', () => {
  it.each([
    ['SSH Key-path.x', 'INPUT_SSH_KEY-PATH.X'],
    ['ssh-key', 'INPUT_SSH-KEY'],
    ['a\tb', 'INPUT_A\tB'],
  ])('%j is %j', (name, variable) => {
    expect(inputVariable(name)).toBe(variable);
  });
});
