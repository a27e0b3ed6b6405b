/**
 * What several scripts begin with. The scripts of `*-scripts.ts` run on the host: constant POSIX sh, for dash and busybox
 * too. Inputs come as positional arguments, secrets by stdin. In all of them `$1` is the project directory, absolute,
 * unless said otherwise.
 */

/** A login over SSH without a login shell often lacks the places where docker lies. */
export const path = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export PATH LC_ALL=C
umask 077
`;

/**
 * Who runs a step. The runner recorded itself in `<step>/run`: its process id, the id of the boot, its start in clock
 * ticks (a process id alone is soon another's), and the second by which it should have ended.
 */
export const runners = `
read -r boot </proc/sys/kernel/random/boot_id || boot=unknown
nap() { sleep "$1" 2>/dev/null || sleep 1; }
# $started: when process $1 began. Fails when it is gone or dead.
start_of() {
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  set -- \${stat##*) }
  started=\${20}
  [ "$1" != Z ]
}
# $pid, $born, $start and $limit as the runner of step $1 recorded them. Fails unless that process still lives.
lives() {
  pid=0 born= start= limit=0
  { read -r pid born start limit <"$1/run"; } 2>/dev/null || return 1
  [ "$born" = "$boot" ] && start_of "$pid" && [ "$started" = "$start" ]
}
# To a runner and all that it started: its session, or, where the host knows none, its children's children.
signal() {
  if kill -s "$1" -- "-$2" 2>/dev/null; then return 0; fi
  for child in $(cat "/proc/$2/task/$2/children" 2>/dev/null); do signal "$1" "$child"; done
  kill -s "$1" "$2" 2>/dev/null || true
}
# What \`docker compose run\` started for step $1; it may outlive the command that waits for it.
containers_of() { docker ps -q --filter "label=lockkeeper.step=\${1##*/}" 2>/dev/null || true; }
kill_containers_of() {
  ids=$(containers_of "$1")
  if [ -n "$ids" ]; then docker kill $ids >/dev/null 2>&1 || true; fi
}
`;

/** What the record says now: the serving id (or an empty line), then the pending record, if there is one. */
export const tell = `
tell() {
  head -n 1 "$1/.lockkeeper/serving" 2>/dev/null || echo
  cat "$1/.lockkeeper/pending.json" 2>/dev/null || true
}
`;

/**
 * Takes pairs of path and number of lines from the arguments, up to \`--\`; their lines come by stdin, in order. Each is
 * 0600 and whole at once: where the lines end early, whoever sent them is gone, and the file stays what it was.
 */
export const write = `
while [ $# -gt 0 ]; do
  if [ "$1" = -- ]; then shift; break; fi
  file=$1 count=$2
  shift 2
  mkdir -p "\${file%/*}"
  while [ "$count" -gt 0 ] && IFS= read -r line; do printf '%s\\n' "$line"; count=$((count - 1)); done >"$file.part"
  if [ "$count" -gt 0 ]; then rm -f "$file.part"; echo "$file did not come whole" >&2; exit 74; fi
  mv -f "$file.part" "$file"
done
`;

/**
 * `compose` with a release: $kind is plugin or standalone, $release the directory that holds
 * `args` (global arguments, one a line), `environment` (NAME=value lines) and `cleared` (names of the
 * env file: Compose lets the process environment beat it, so the host's own must go).
 */
export const compose = `
load_environment() {
  while IFS= read -r line; do unset "$line"; done <"$release/cleared"
  while IFS= read -r line; do export "$line"; done <"$release/environment"
}
compose() {
  # What it starts can be found and ended, also when this command is killed.
  if [ "\${1-}" = run ] && [ -n "\${LOCKKEEPER_STEP-}" ]; then
    shift
    set -- run --label "lockkeeper.step=$LOCKKEEPER_STEP" "$@"
  fi
  n=$#
  while IFS= read -r line; do set -- "$@" "$line"; done <"$release/args"
  while [ "$n" -gt 0 ]; do line=$1; shift; set -- "$@" "$line"; n=$((n - 1)); done
  (
    load_environment
    if [ "$kind" = plugin ]; then exec docker compose "$@"; else exec docker-compose "$@"; fi
  )
}
`;

/** `run_hook` with a release: the lines of file $hook, in which \`docker compose\` means the release. */
export const hooks = `${compose}
docker() {
  if [ "\${1-}" = compose ]; then shift; compose "$@"; else command docker "$@"; fi
}
run_hook() {
  load_environment
  set --
  . "$hook"
}
`;
