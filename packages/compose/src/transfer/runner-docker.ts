import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { exec, getExecOutput } from '@actions/exec';
import { type Log, messageOf, UserError } from '@lockkeeper/action';
import { lastLine } from '../host/answer.ts';
import { type ImageFacts, parseImageFacts } from './image-facts.ts';
import type { RunnerImages, SavedImage } from './runner-images.ts';
import { Spool } from './spool.ts';

/** What docker needs to find its daemon and its config. All else is ours, or secret. */
const passedOn =
  /^(PATH|HOME|TMPDIR|XDG_(RUNTIME_DIR|CONFIG_HOME)|SSH_AUTH_SOCK|DOCKER_(HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY|API_VERSION))$/;

/** The environment of docker on the runner, out of the action's own. Pure. */
export function dockerEnvironment(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      passedOn.test(name) && value ? [[name, value] as const] : [],
    ),
  );
}

/** The runner's Docker, as the steps before this one left it. Nothing is looked for before the first question. */
export function runnerDocker({
  env,
  log,
}: {
  /** The action's: PATH, HOME, RUNNER_TEMP and DOCKER_* are read. */
  env: Readonly<Record<string, string | undefined>>;
  log: Log;
}): RunnerImages {
  const found = new Map<string, ImageFacts>();
  const clean = dockerEnvironment(env);
  let docker: Promise<string> | undefined;
  const program = () => {
    docker ??= findDocker(clean, log);
    return docker;
  };
  const open = new Map<string, Shared>();
  return {
    async find(references) {
      for (const reference of references) {
        if (found.has(reference)) continue;
        const facts = await inspect(await program(), reference, clean);
        if (facts) found.set(reference, facts);
      }
      return new Map(
        references.flatMap((reference) => {
          const facts = found.get(reference);
          return facts ? [[reference, facts] as const] : [];
        }),
      );
    },
    // Hosts that take the same image at the same time read the same file.
    async save(id) {
      const tool = await program();
      const shared = open.get(id) ?? { saved: save(tool, id, clean, env.RUNNER_TEMP), readers: 0 };
      open.set(id, shared);
      shared.readers++;
      const saved = await shared.saved;
      return {
        read: () => saved.read(),
        async close() {
          if (--shared.readers > 0) return;
          open.delete(id);
          await saved.close();
        },
      };
    },
  };
}

interface Shared {
  saved: Promise<SavedImage>;
  readers: number;
}

/** The absolute path of docker, looked up once: what a later step or a changed PATH brings is not run. */
async function findDocker(env: Readonly<Record<string, string>>, log: Log): Promise<string> {
  const docker = await inPath('docker', env.PATH);
  if (!docker)
    throw new UserError(
      'the runner has no docker in PATH, and images: transfer takes the images from there',
      {
        next: 'run the job on ubuntu-latest, or use images: pull or build',
      },
    );
  const where = ['DOCKER_HOST', 'DOCKER_CONTEXT', 'DOCKER_CONFIG'].flatMap((name) =>
    env[name] ? [`${name}=${env[name]}`] : [],
  );
  log.info(`Images come from the runner's ${docker}${where.length > 0 ? ` (${where.join(', ')})` : ''}`);
  return docker;
}

async function inPath(program: string, path = ''): Promise<string | undefined> {
  for (const directory of path.split(delimiter).filter(isAbsolute)) {
    const file = join(directory, program);
    const isThere = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (isThere) return file;
  }
  return undefined;
}

async function inspect(
  docker: string,
  reference: string,
  env: Record<string, string>,
): Promise<ImageFacts | undefined> {
  const { exitCode, stdout, stderr } = await getExecOutput(
    `"${docker}"`,
    ['image', 'inspect', '--', reference],
    {
      env,
      silent: true,
      ignoreReturnCode: true,
    },
  );
  if (exitCode === 0) return parseImageFacts(stdout)[0];
  if (/no such image/i.test(stderr)) return undefined;
  throw new UserError(`the runner's docker cannot tell of ${reference}: ${lastLine(stderr)}`, {
    next: 'docker version, in a step before this one',
  });
}

/**
 * Writes an image into a file that is given to docker and has no name any more once it is open: a listener of
 * @actions/exec would take what docker writes into memory, however slowly the host takes it from there. The
 * process id is told so that it can be ended.
 */
const saveInto = `exec >"$2"; echo "$$" >&2; exec "$0" save "$1"`;

async function save(
  docker: string,
  id: string,
  env: Record<string, string>,
  directory: string | undefined,
): Promise<SavedImage> {
  const spool = await Spool.open(directory);
  let said = '';
  let pid: number | undefined;
  const ended = exec('/bin/sh', ['-euc', saveInto, docker, id, spool.path], {
    env,
    silent: true,
    ignoreReturnCode: true,
    listeners: {
      stderr: (data) => {
        said = `${said}${data.toString()}`.slice(-4000);
        const first = /^(\d+)\n/.exec(said);
        if (pid !== undefined || !first) return;
        pid = Number(first[1]);
        said = said.slice(first[0].length);
        void spool.forget();
      },
    },
  }).then(
    (code) =>
      spool.end(
        code === 0 ? undefined : new UserError(`docker save ${id} failed on the runner: ${lastLine(said)}`),
      ),
    (error) => spool.end(new UserError(`docker save ${id} failed on the runner: ${messageOf(error)}`)),
  );
  let running = true;
  void ended.then(() => {
    running = false;
  });
  return {
    read: () => spool.read(),
    async close() {
      if (running && pid !== undefined) process.kill(pid);
      await ended;
      await spool.close();
    },
  };
}
