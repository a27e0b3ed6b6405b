/** What several scripts begin with: parts of the constant POSIX sh that runs on the host. */

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
