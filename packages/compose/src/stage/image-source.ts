import type { Inputs } from '@lockkeeper/action';

/** Where a release's images come from. */
export type ImageSource = { from: 'pull' } | { from: 'transfer' } | ({ from: 'build' } & BuildSettings);

export interface BuildSettings {
  /** All images at once; else one after another. */
  parallel: boolean;
  args: Record<string, string>;
  noCache: boolean;
}

/** `images` and the inputs that go with it. Problems are collected in `inputs`. */
export function readImageSource(inputs: Inputs): ImageSource {
  const from = inputs.choice('images', ['pull', 'build', 'transfer']);
  const build: BuildSettings = {
    parallel: inputs.choice('build', ['sequential', 'parallel']) === 'parallel',
    args: Object.fromEntries(inputs.pairs('build-args', { key: /^[A-Za-z_][A-Za-z0-9_]*$/ })),
    noCache: inputs.boolean('no-cache'),
  };
  if (from === 'build') return { from, ...build };
  for (const name of ['build', 'build-args', 'no-cache'])
    if (inputs.isSet(name)) inputs.problem(name, 'is of use only with images: build');
  if (from === 'transfer') {
    if (inputs.isSet('image'))
      inputs.problem(
        'image',
        "names what a registry has; with images: transfer it is the runner's own image of that name",
      );
    for (const name of ['registry', 'registry-username', 'registry-password'])
      if (inputs.isSet(name))
        inputs.problem(name, 'is of no use with images: transfer, which asks no registry');
  }
  return { from };
}
