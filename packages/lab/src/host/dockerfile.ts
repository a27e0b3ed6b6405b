import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, posix, relative, resolve, sep } from 'node:path';
import type { ImageConfig, ImageFile } from '../registry.ts';
import { type BuildConfig, ComposeError, shellWords } from './compose-file.ts';
import { parseGoDuration } from './duration.ts';
import type { Credentials, Image, ImageStore } from './images.ts';
import { interpolate } from './interpolation.ts';

/** Joins continued lines and drops comments: `INSTRUCTION arguments` per entry. */
function instructions(text: string): Array<{ word: string; rest: string; line: number }> {
  const found: Array<{ word: string; rest: string; line: number }> = [];
  let pending = '';
  let start = 0;
  for (const [index, row] of text.split(/\r?\n/).entries()) {
    if (/^\s*#/.test(row) || (pending === '' && row.trim() === '')) continue;
    if (pending === '') start = index + 1;
    pending += row;
    if (pending.endsWith('\\')) {
      pending = `${pending.slice(0, -1)} `;
      continue;
    }
    const match = /^\s*(\w+)\s*([\s\S]*)$/.exec(pending);
    if (match) found.push({ word: match[1]!.toUpperCase(), rest: match[2]!.trim(), line: start });
    pending = '';
  }
  return found;
}

function commandWords(text: string): string[] {
  if (!text.startsWith('[')) return ['/bin/sh', '-c', text];
  return JSON.parse(text) as string[];
}

/**
 * Builds an image from a Dockerfile that only lays files over a base: FROM, ARG, ENV, WORKDIR, COPY, LABEL, EXPOSE,
 * CMD, ENTRYPOINT, HEALTHCHECK, STOPSIGNAL. RUN and whatever else needs a container is refused by name and line.
 */
export async function buildImage(
  images: ImageStore,
  build: BuildConfig,
  tag: string,
  {
    extra,
    credentials,
  }: { extra: Record<string, string>; credentials: (registry: string) => Credentials | undefined },
): Promise<Image> {
  const file = resolve(build.context, build.dockerfile ?? 'Dockerfile');
  if (!existsSync(file)) {
    throw new ComposeError(
      `failed to solve: failed to read dockerfile: open ${build.dockerfile ?? 'Dockerfile'}: no such file or directory`,
    );
  }
  let base: Image | undefined;
  let config: ImageConfig = {};
  const files: Record<string, ImageFile> = {};
  const given: Record<string, string> = { ...build.args, ...extra };
  const variables = new Map<string, string>();
  for (const { word, rest, line } of instructions(readFileSync(file, 'utf8'))) {
    const refuse = (what: string) =>
      new ComposeError(
        `${file}:${line}: ${what} is not supported by the lab's process engine, which builds without containers`,
      );
    const text =
      word === 'CMD' || word === 'ENTRYPOINT' || word === 'HEALTHCHECK'
        ? rest
        : interpolate(rest, (name) => variables.get(name));
    switch (word) {
      case 'FROM': {
        if (base || Object.keys(files).length) throw refuse('a second FROM');
        const [name = ''] = text.split(/\s+/);
        if (name !== 'scratch') {
          base = images.find(name) ?? (await images.pull(name, { credentials })).image;
          config = structuredClone(base.config);
        }
        break;
      }
      case 'ARG': {
        const [name = '', ...value] = text.split('=');
        const known = given[name] ?? (value.length ? value.join('=') : undefined);
        if (known !== undefined) variables.set(name, known);
        break;
      }
      case 'ENV':
      case 'LABEL':
        for (const pair of text.includes('=') ? shellWords(text) : [text.replace(/\s+/, '=')]) {
          const at = pair.indexOf('=');
          const [name, value] = [pair.slice(0, at), pair.slice(at + 1)];
          if (word === 'LABEL') config.Labels = { ...config.Labels, [name]: value };
          else {
            config.Env = [
              ...(config.Env ?? []).filter((other) => !other.startsWith(`${name}=`)),
              `${name}=${value}`,
            ];
            variables.set(name, value);
          }
        }
        break;
      case 'WORKDIR':
        config.WorkingDir = posix.resolve(config.WorkingDir ?? '/', text);
        break;
      case 'COPY': {
        const words = shellWords(text);
        if (words.some((part) => part.startsWith('--')))
          throw refuse(`COPY ${words.find((part) => part.startsWith('--'))}`);
        copyInto(files, build.context, words, config.WorkingDir ?? '/', refuse);
        break;
      }
      case 'EXPOSE':
        for (const port of text.split(/\s+/)) {
          config.ExposedPorts = { ...config.ExposedPorts, [port.includes('/') ? port : `${port}/tcp`]: {} };
        }
        break;
      case 'CMD':
        config.Cmd = commandWords(text);
        break;
      case 'ENTRYPOINT':
        config.Entrypoint = commandWords(text);
        delete config.Cmd;
        break;
      case 'STOPSIGNAL':
        config.StopSignal = text;
        break;
      case 'HEALTHCHECK': {
        const match = /^((?:--\S+\s+)*)(NONE|CMD)\s*([\s\S]*)$/.exec(text);
        if (!match) throw refuse(`HEALTHCHECK ${text}`);
        const option = (name: string) => new RegExp(`--${name}=(\\S+)`).exec(match[1]!)?.[1];
        const ns = (name: string) => (parseGoDuration(option(name) ?? '0') ?? 0) * 1e6;
        const check = match[3]!;
        config.Healthcheck = {
          Test:
            match[2] === 'NONE'
              ? ['NONE']
              : check.startsWith('[')
                ? ['CMD', ...commandWords(check)]
                : ['CMD-SHELL', check],
          Interval: ns('interval'),
          Timeout: ns('timeout'),
          StartPeriod: ns('start-period'),
          StartInterval: ns('start-interval'),
          Retries: Number(option('retries') ?? 0),
        };
        break;
      }
      default:
        throw refuse(word);
    }
  }
  return images.build(base, config, files, tag.includes(':', tag.lastIndexOf('/')) ? tag : `${tag}:latest`);
}

function copyInto(
  files: Record<string, ImageFile>,
  context: string,
  words: string[],
  workingDirectory: string,
  refuse: (what: string) => ComposeError,
): void {
  const target = words.at(-1) ?? '';
  const sources = words.slice(0, -1);
  const into = posix.resolve('/', workingDirectory, target);
  for (const source of sources) {
    const from = resolve(context, source.replace(/^\/+/, ''));
    if (from !== context && !from.startsWith(context + sep))
      throw refuse(`COPY from outside the context (${source})`);
    if (!existsSync(from))
      throw new ComposeError(`failed to solve: failed to compute cache key: "${source}": not found`);
    const add = (path: string, name: string) => {
      files[name.replace(/^\/+/, '')] = { content: readFileSync(path), mode: statSync(path).mode & 0o777 };
    };
    if (statSync(from).isDirectory()) {
      for (const entry of readdirSync(from, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (entry.isFile()) add(path, posix.join(into, relative(from, path)));
      }
    } else {
      const directory = target.endsWith('/') || target === '.' || sources.length > 1;
      add(from, directory ? posix.join(into, posix.basename(source)) : into);
    }
  }
}
