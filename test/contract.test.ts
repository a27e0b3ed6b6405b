import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { InputError, type Inputs, inputsOf } from '@lockkeeper/action';
import { actions, contractOf, root } from '../tools/manifest.ts';

// The contract between an action.yml, its code and the runner.

const all = actions();
const parseInputsOf = async (name: string) =>
  (await import(pathToFileURL(join(root, 'actions', name, 'src/inputs.ts')).href)).parseInputs as (
    inputs: Inputs,
    ...rest: unknown[]
  ) => unknown;

/** Enough to get through each action's parsing. */
const { privateKey } = (await import('node:crypto')).generateKeyPairSync('ec', {
  namedCurve: 'P-256',
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'sec1', format: 'pem' },
});
const ssh = {
  username: 'deploy',
  'private-key': privateKey,
  'host-fingerprint': 'SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU',
  'project-directory': '/srv/app',
};
const needed: Record<string, Record<string, string>> = {
  'ephemeral-ssh-ingress': { 'security-group-id': 'sg-0123456789abcdef0', region: 'ap-northeast-2' },
  'compose-deploy': { ...ssh, host: '192.0.2.10' },
  'rolling-alb-deploy': {
    ...ssh,
    'target-group-arn':
      'arn:aws:elasticloadbalancing:ap-northeast-2:123456789012:targetgroup/web/0123456789abcdef',
    region: 'ap-northeast-2',
  },
  'health-gate': { url: 'https://app.example/health/' },
  'slack-notify': { status: 'success' },
};

it('covers the five actions', () =>
  expect(all.map(({ name }) => name)).toEqual([
    'compose-deploy',
    'ephemeral-ssh-ingress',
    'health-gate',
    'rolling-alb-deploy',
    'slack-notify',
  ]));

describe.each(all.map((action) => [action.name, action] as const))('%s', (name, action) => {
  const { manifest, directory } = action;
  const contract = contractOf(action);

  it('runs on node24 with keys that the runner knows', () => {
    expect(manifest.runs.using).toBe('node24');
    const known = ['using', 'main', 'pre', 'pre-if', 'post', 'post-if'];
    expect(Object.keys(manifest.runs).filter((key) => !known.includes(key))).toEqual([]);
  });

  it('names files that exist', () => {
    const files = ['main', 'pre', 'post'].flatMap((phase) => manifest.runs[phase] ?? []);
    expect(files.filter((file) => !existsSync(join(directory, file)))).toEqual([]);
  });

  it('describes every input and output', () => {
    const described = [...Object.entries(manifest.inputs), ...Object.entries(manifest.outputs)];
    expect(
      described.filter(([, { description }]) => (description ?? '').trim().length < 10).map(([key]) => key),
    ).toEqual([]);
  });

  it('uses no key that an action does not know', () => {
    const keys = Object.values(manifest.inputs).flatMap((input) => Object.keys(input));
    expect(
      [...new Set(keys)].filter(
        (key) => !['description', 'required', 'default', 'deprecationMessage'].includes(key),
      ),
    ).toEqual([]);
  });

  it('reads the inputs that it declares, and no others', async () => {
    const parseInputs = await parseInputsOf(name);
    const inputs = inputsOf(needed[name]!, contract.inputs);
    parseInputs(inputs);
    expect([...inputs.names].sort()).toEqual(Object.keys(contract.inputs).sort());
  });

  it('takes its own defaults', async () => {
    const parseInputs = await parseInputsOf(name);
    expect(() => parseInputs(inputsOf(needed[name]!, contract.inputs))).not.toThrow();
  });

  it('takes an empty input as its default', async () => {
    const parseInputs = await parseInputsOf(name);
    const blank = Object.fromEntries(Object.keys(contract.inputs).map((key) => [key, ' ']));
    const given = parseInputs(inputsOf({ ...blank, ...needed[name] }, contract.inputs));
    expect(given).toEqual(parseInputs(inputsOf(needed[name]!, contract.inputs)));
  });

  it('names the input in each refusal', async () => {
    const parseInputs = await parseInputsOf(name);
    const nonsense = Object.fromEntries(
      Object.keys(contract.inputs).map((key) => [key, '\u2620 no=\nsense']),
    );
    let problems: string[] = [];
    try {
      parseInputs(inputsOf(nonsense, contract.inputs));
    } catch (error) {
      expect(error).toBeInstanceOf(InputError);
      problems = (error as InputError).problems;
    }
    expect(problems.length).toBeGreaterThan(2);
    expect(problems.filter((problem) => !(problem.split(':')[0]! in contract.inputs))).toEqual([]);
  });

  it('sets the outputs that it declares, and no others', () => {
    const sources = (readdirSync(join(directory, 'src'), { recursive: true, encoding: 'utf8' }) as string[])
      .filter((file) => file.endsWith('.ts'))
      .map((file) => readFileSync(join(directory, 'src', file), 'utf8'));
    const set = [...sources.join('\n').matchAll(/\boutput\(\s*'([^']+)'/g)].map(([, output]) => output!);
    expect([...new Set(set)].sort()).toEqual([...contract.outputs].sort());
  });

  it('ships the contract that its action.yml states', () =>
    expect(JSON.parse(readFileSync(join(directory, 'dist/action.json'), 'utf8'))).toEqual(contract));

  it('ships no native code and no Windows agent', () =>
    expect(readdirSync(join(directory, 'dist')).filter((file) => /\.(node|exe)$/.test(file))).toEqual([]));
});
