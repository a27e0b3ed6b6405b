import { chmod, mkdir, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Apt } from './apt.ts';
import { run } from './command.ts';

/** An image made of Debian packages alone; nothing comes from a registry. */
export interface BaseImage {
  /** In the open registry. */
  reference: string;
  packages: string[];
  /** Changes as `docker import --change` takes them. */
  config: string[];
  /** Path → content; those below /usr/local/bin are programs. */
  files: Record<string, string>;
  /** Directories and who owns them. */
  directories?: Record<string, number>;
}

const path = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/15/bin';

export const baseImages: BaseImage[] = [
  {
    reference: 'nginx:1.22',
    packages: ['nginx-light'],
    config: [`ENV ${path}`, 'CMD ["nginx", "-g", "daemon off;"]', 'EXPOSE 80'],
    files: {
      'etc/nginx/nginx.conf': `user www-data;
worker_processes 1;
error_log /dev/stderr;
events { worker_connections 1024; }
http {
  include /etc/nginx/mime.types;
  access_log off;
  include /etc/nginx/conf.d/*.conf;
}
`,
    },
    directories: { 'var/lib/nginx': 33, 'etc/nginx/conf.d': 0 },
  },
  {
    reference: 'postgres:15',
    packages: ['postgresql-15', 'postgresql-client-15'],
    config: [
      `ENV ${path}`,
      'ENV PGUSER=shop PGDATABASE=shop PGHOST=/tmp',
      'USER 999:999',
      'ENTRYPOINT ["start-postgres"]',
      'VOLUME /var/lib/postgresql/data',
      'EXPOSE 5432',
    ],
    files: {
      // A database of seconds: what a crash of the machine would lose does not matter.
      'usr/local/bin/start-postgres': `#!/bin/sh
set -eu
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
  printf '%s\\n' "$POSTGRES_PASSWORD" >/tmp/password
  initdb --pgdata "$data" --username shop --pwfile /tmp/password --auth-local trust --auth-host scram-sha-256 \\
    --encoding UTF8 --locale C --no-sync >/dev/null
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>"$data/pg_hba.conf"
  echo 'create database shop' | postgres --single -D "$data" -F postgres >/dev/null
fi
exec postgres -D "$data" -F -c listen_addresses='*' -c unix_socket_directories=/tmp
`,
    },
    directories: { 'var/lib/postgresql/data': 999 },
  },
  {
    reference: 'redis:7',
    packages: ['redis-server', 'redis-tools'],
    config: [`ENV ${path}`, 'USER 999:999', 'CMD ["redis-server"]', 'VOLUME /data', 'EXPOSE 6379'],
    files: {},
    directories: { data: 999 },
  },
  {
    reference: 'python:3',
    packages: ['python3', 'python3-psycopg2'],
    config: [`ENV ${path}`],
    files: {},
  },
];

/** What packages bring along and an image has no use for. */
const unwanted =
  /^(perl.*|lib.*-perl|debconf|dpkg|tar|usrmerge|init-system-helpers|sysvinit-utils|adduser|locales|libc-l10n|libc-bin|libllvm.*|libz3-4|lsb-base|iproute2|libbpf1|libelf1|ucf|sensible-utils|openssl|ssl-cert|libcap2-bin|postgresql-common|postgresql-client-common|media-types|mailcap|libpam-modules.*|python3\..*-distutils|python3-(distutils|lib2to3))$/;
const unwantedFiles = [
  'usr/share/doc',
  'usr/share/man',
  'usr/share/locale',
  'usr/share/lintian',
  'usr/share/postgresql/15/man',
  'usr/lib/postgresql/15/lib/bitcode',
  'usr/lib/postgresql/15/lib/llvmjit.so',
];

/** Fills a directory with what an image holds. */
export async function layOutImage(apt: Apt, image: BaseImage, root: string): Promise<void> {
  const needed = await apt.closure(['libc6', ...image.packages]);
  await apt.unpack([...needed.filter((name) => !unwanted.test(name)), 'busybox'], root);
  for (const file of unwantedFiles) await rm(join(root, file), { recursive: true, force: true });
  for (const file of await readdir(join(root, 'usr/share/locale')).catch(() => []))
    await rm(join(root, file));
  // busybox is the shell and all the small tools.
  const applets = (await run(join(root, 'bin/busybox'), ['--list'])).split('\n');
  for (const applet of applets)
    if (applet !== 'busybox') await symlink('/bin/busybox', join(root, 'bin', applet)).catch(() => {});
  const files: Record<string, string> = {
    'etc/passwd': 'root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\napp:x:999:999::/:/bin/sh\n',
    'etc/group': 'root:x:0:\nwww-data:x:33:\nadm:x:4:\napp:x:999:\n',
    'etc/nsswitch.conf': 'hosts: files dns\n',
    ...image.files,
  };
  for (const [file, content] of Object.entries(files)) {
    await mkdir(join(root, dirname(file)), { recursive: true });
    await writeFile(join(root, file), content);
    if (file.startsWith('usr/local/bin/')) await chmod(join(root, file), 0o755);
  }
  for (const directory of ['tmp', 'run', 'root', 'proc', 'sys', 'dev', 'var/log/nginx', 'var/tmp'])
    await mkdir(join(root, directory), { recursive: true });
  for (const directory of ['tmp', 'var/tmp']) await chmod(join(root, directory), 0o1777);
  for (const [directory, owner] of Object.entries(image.directories ?? {})) {
    await mkdir(join(root, directory), { recursive: true });
    await run('chown', [`${owner}:${owner}`, join(root, directory)]);
  }
}
