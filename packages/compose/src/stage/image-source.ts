import type { Inputs } from '@lockkeeper/action';

/** Where a release's images come from. */
export type ImageSource = { from: 'pull' } | ({ from: 'build' } & BuildSettings);

export interface BuildSettings {
  /** All images at once; else one after another. */
  parallel: boolean;
  args: Record<string, string>;
  noCache: boolean;
}

/** `images` and the inputs that go with it. Problems are collected in `inputs`. */
export function readImageSource(inputs: Inputs): ImageSource {
  const from = inputs.choice('images', ['pull', 'build', 'transfer']);
  if (from === 'transfer')
    inputs.problem('images', 'transfer is not supported by this version yet; use pull or build');
  const build: BuildSettings = {
    parallel: inputs.choice('build', ['sequential', 'parallel']) === 'parallel',
    args: Object.fromEntries(inputs.pairs('build-args', { key: /^[A-Za-z_][A-Za-z0-9_]*$/ })),
    noCache: inputs.boolean('no-cache'),
  };
  if (from === 'build') return { from, ...build };
  for (const name of ['build', 'build-args', 'no-cache'])
    if (inputs.isSet(name)) inputs.problem(name, 'is of use only with images: build');
  return { from: 'pull' };
}
