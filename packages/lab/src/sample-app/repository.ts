import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readSample } from './sample-file.ts';

/** The sample app as a git repository, for hosts that are a checkout of it and build their own images. Needs git. */
export interface SampleRepository {
  /** Clones what `main` is now, with the repository as its `origin`. */
  cloneInto(directory: string): Promise<void>;
  /** A new commit on `main`, ill as SICK in server.mjs says; answers its id. */
  commit(sick?: string): Promise<string>;
}

/** Makes it below `directory`, with the release that serves first as its first commit. */
export async function openSampleRepository(directory: string, version = 'v1'): Promise<SampleRepository> {
  const work = join(directory, 'work');
  const bare = join(directory, 'app.git');
  await mkdir(work, { recursive: true });
  const files: Record<string, string> = {
    'compose.yaml': readSample('compose.yaml').replace(
      '    image: ${REGISTRY:?set REGISTRY}/app:${TAG:?set TAG}\n',
      '    build: .\n',
    ),
    '.gitignore': '.env\n',
    'server.mjs': readSample('server.mjs'),
    'healthcheck.pl': readSample('healthcheck.pl'),
  };
  const write = (sick: string, revision: number) =>
    Promise.all(
      Object.entries({ ...files, Dockerfile: dockerfile(version, sick), REVISION: `${revision}\n` }).map(
        ([name, content]) => writeFile(join(work, name), content),
      ),
    );
  let revision = 0;
  const commit = async (sick = '') => {
    revision += 1;
    await write(sick, revision);
    await git(work, 'add', '--all');
    await git(work, 'commit', '--quiet', '--message', `Release ${revision}`);
    await git(work, 'push', '--quiet', bare, 'HEAD:refs/heads/main');
    return (await git(work, 'rev-parse', 'HEAD')).trim();
  };
  await git(directory, 'init', '--quiet', '--bare', '--initial-branch=main', bare);
  await git(work, 'init', '--quiet', '--initial-branch=main');
  await commit();
  return { cloneInto: (to) => git(directory, 'clone', '--quiet', bare, to).then(() => {}), commit };
}

const dockerfile = (version: string, sick: string) => `FROM scratch
ARG VERSION=${version}
ENV VERSION=$VERSION
ENV PORT=8000
${sick ? `ENV SICK=${sick}\n` : ''}WORKDIR /app
COPY server.mjs healthcheck.pl REVISION ./
EXPOSE 8000
CMD ["node", "server.mjs"]
`;

/** Away from whatever the computer's own git is told to do. */
async function git(directory: string, ...args: string[]): Promise<string> {
  const who = ['user.name=Octo Cat', 'user.email=octo@example.com', 'commit.gpgSign=false'];
  const { stdout } = await promisify(execFile)(
    'git',
    [...who.flatMap((setting) => ['-c', setting]), ...args],
    {
      cwd: directory,
      env: { PATH: process.env.PATH, HOME: directory, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' },
    },
  );
  return stdout;
}
