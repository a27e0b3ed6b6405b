/**
 * The scripts that run on the host: constant POSIX sh, for dash and busybox too. Inputs come as positional
 * arguments, secrets by stdin. In all of them `$1` is the project directory, absolute, unless said otherwise.
 */

/** A login over SSH without a login shell often lacks the places where docker lies. */
const path = `
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
export PATH LC_ALL=C
umask 077
`;

/**
 * `compose` with a release: $kind is plugin or standalone, $release the directory that holds
 * `args` (global arguments, one a line), `environment` (NAME=value lines) and `cleared` (names of the
 * env file: Compose lets the process environment beat it, so the host's own must go).
 */
const compose = `
load_environment() {
  while IFS= read -r line; do unset "$line"; done <"$release/cleared"
  while IFS= read -r line; do export "$line"; done <"$release/environment"
}
compose() {
  n=$#
  while IFS= read -r line; do set -- "$@" "$line"; done <"$release/args"
  while [ "$n" -gt 0 ]; do line=$1; shift; set -- "$@" "$line"; n=$((n - 1)); done
  (
    load_environment
    if [ "$kind" = plugin ]; then exec docker compose "$@"; else exec docker-compose "$@"; fi
  )
}
`;

/** $1 as the user gave it (\`~/\` allowed). Prints the absolute directory. 66: none; 67: a symbolic link. */
export const resolveDirectory = `${path}
case $1 in
  "~") dir=$HOME ;;
  "~/"*) dir=$HOME/\${1#"~/"} ;;
  *) dir=$1 ;;
esac
[ -d "$dir" ] || exit 66
if [ -L "$dir" ]; then cd "$dir"; pwd -P; exit 67; fi
[ -r "$dir" ] && [ -x "$dir" ] || exit 68
# As written, not resolved: Compose labels containers with the path it was called by.
cd "$dir"
pwd
`;

/** Prints what the host has: \`docker\`, \`compose\`, \`standalone\`, \`v1\` lines, and the errors met. No arguments. */
export const preflight = `${path}
if ! command -v docker >/dev/null; then echo 'docker absent'; exit 0; fi
echo 'docker present'
out=$(docker version --format '{{json .}}' 2>&1) && echo 'daemon reached' || { echo 'daemon refused'; echo "$out"; exit 0; }
if out=$(docker compose version --short 2>/dev/null); then echo "plugin $out"
elif command -v docker-compose >/dev/null && out=$(docker-compose version --short 2>/dev/null); then echo "standalone $out"
else echo 'compose absent'
fi
`;

/** Makes the record's directory, kept out of git's sight. */
export const prepareState = `${path}
state=$1/.lockkeeper
[ -L "$state" ] && exit 67
mkdir -p "$state/releases" "$state/bad" "$state/steps"
chmod 700 "$state"
[ -f "$state/.gitignore" ] || echo '*' >"$state/.gitignore"
touch "$state/audit.log"
`;

/** $1 a path; what comes by stdin becomes its content, atomically, 0600. */
export const writeFile = `${path}
mkdir -p "\${1%/*}"
cat >"$1.part"
mv -f "$1.part" "$1"
`;

/** $1 a path. 66: there is none. */
export const readFile = `[ -f "$1" ] || exit 66; cat "$1"`;

/** $1 a path, removed with all below it. */
export const removePath = `rm -rf "$1"`;

/** Appends stdin to the audit log. */
export const appendAudit = 'cat >>"$1/.lockkeeper/audit.log"';

/**
 * Takes the lock for token $2; stdin is who we are. Prints \`taken\`, or \`held\` with the seconds since the
 * owner's last sign of life and who it is. A lock is taken over only when it is older than $3 seconds and no
 * step of its owner lives.
 */
export const takeLock = `${path}
state=$1/.lockkeeper token=$2 ttl=$3
owner=$(cat)
now=$(date +%s)
printf '%s\\n%s\\n' "$token" "$owner" >"$state/lock.$token"
echo "$now" >"$state/beat.$token"
won() { rm -f "$state/lock.$token"; echo taken; exit 0; }
if ln "$state/lock.$token" "$state/lock" 2>/dev/null; then won; fi
holder=$(head -n 1 "$state/lock" 2>/dev/null || true)
[ "$holder" = "$token" ] && won
beat=$(cat "$state/beat.$holder" 2>/dev/null || echo 0)
age=$((now - beat))
alive=no
for step in "$state/steps/$holder".*; do
  [ -f "$step" ] || continue
  pid=$(cat "$step")
  if kill -0 "$pid" 2>/dev/null && tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q lockkeeper; then alive=yes; fi
done
if [ "$alive" = no ] && [ "$age" -gt "$ttl" ] && mkdir "$state/takeover.$holder.$((now / 60))" 2>/dev/null; then
  mv -f "$state/lock.$token" "$state/lock"
  rm -rf "$state/takeover.$holder".* "$state/beat.$holder" "$state/steps/$holder".*
  if [ "$(head -n 1 "$state/lock")" = "$token" ]; then echo 'taken over'; exit 0; fi
fi
rm -f "$state/lock.$token" "$state/beat.$token"
echo "held $age $alive"
tail -n +2 "$state/lock" 2>/dev/null || true
`;

/** A sign of life for token $2. 69: the lock is somebody else's now. */
export const beatLock = `
state=$1/.lockkeeper
[ "$(head -n 1 "$state/lock" 2>/dev/null)" = "$2" ] || exit 69
date +%s >"$state/beat.$2"
`;

/** Gives the lock of token $2 back, and what that run left lying. Does nothing to somebody else's. */
export const releaseLock = `
state=$1/.lockkeeper
rm -rf "$state/docker-config.$2" "$state/beat.$2" "$state/lock.$2"
rm -f "$state/steps/$2".*
if [ "$(head -n 1 "$state/lock" 2>/dev/null)" = "$2" ]; then rm -f "$state/lock"; fi
`;

/** Prints \`alive\` while a step of token $2 runs; with $3 = stop it is told to end. */
export const stepsOf = `
for step in "$1/.lockkeeper/steps/$2".*; do
  [ -f "$step" ] || continue
  pid=$(cat "$step")
  if kill -0 "$pid" 2>/dev/null && tr '\\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q lockkeeper; then
    echo alive
    if [ "$3" = stop ]; then kill -TERM "$pid" 2>/dev/null || true; fi
  else rm -f "$step"
  fi
done
`;

/** In front of every script that changes something: its process is the sign that a step of token $2 lives. */
const step = `
state=$1/.lockkeeper token=$2
echo "$$" >"$state/steps/$token.$$"
trap 'rm -f "$state/steps/$token.$$"' EXIT
`;

/** $2… names relative to the directory. Prints those that are files. */
export const existing = `
cd "$1"; shift
for name; do if [ -f "$name" ]; then printf '%s\\n' "$name"; fi; done
`;

/** Copies files $3… (relative to the project) into release directory $2, numbered in their order. */
export const copyFiles = `${path}
cd "$1"; release=$2; shift 2
mkdir -p "$release/files"
n=0
for name; do
  cp "$name" "$release/files/$n-\${name##*/}"
  n=$((n + 1))
done
`;

/** $1 project, $2 plugin or standalone, $3 release directory, $4… the command and its arguments; reads only. */
export const composeRead = `${path}
cd "$1"; kind=$2 release=$3; shift 3
${compose}
compose "$@"
`;

/** The same, as a step of a token: $1 project, $2 token, $3 kind, $4 release, $5 Docker config ('' = the user's own), $6… */
export const composeStep = `${path}${step}
cd "$1"; kind=$3 release=$4
if [ -n "$5" ]; then DOCKER_CONFIG=$5; export DOCKER_CONFIG; fi
shift 5
${compose}
compose "$@"
`;

/** docker $4… as a step of token $2, with the Docker config $3. */
export const dockerStep = `${path}${step}
if [ -n "$3" ]; then DOCKER_CONFIG=$3; export DOCKER_CONFIG; fi
shift 3
docker "$@"
`;

/** docker $1…: reads only. */
export const dockerRead = `${path}
docker "$@"
`;

/** All containers whose label is $1, as docker inspect prints them; nothing where there are none. */
export const inspectLabelled = `${path}
ids=$(docker ps -aq --no-trunc --filter "label=$1")
# A container may go between the two questions: what remains is still told.
[ -z "$ids" ] || docker inspect $ids || true
`;

/** Image ids: for each reference $1… a line \`reference<TAB>id<TAB>digests\`; nothing for one that is not here. */
export const imageIds = `${path}
for reference; do
  if line=$(docker image inspect "$reference" 2>/dev/null); then
    printf '%s\\n' "--- $reference"
    printf '%s\\n' "$line"
  fi
done
`;

/** Makes each reference stand for its image: pairs $3 $4, $5 $6, … of id and reference. */
export const tagImages = `${path}${step}
shift 2
while [ $# -gt 1 ]; do docker tag "$1" "$2"; shift 2; done
`;

/**
 * Runs a hook file in the project directory under sh -eu, where \`docker compose\` means the release.
 * $1 project, $2 token, $3 kind, $4 release, $5 the hook's file.
 */
export const runHook = `${path}${step}
cd "$1"; kind=$3 release=$4 hook=$5
${compose}
load_environment
lockkeeper_compose() { compose "$@"; }
docker() {
  if [ "\${1-}" = compose ]; then shift; compose "$@"; else command docker "$@"; fi
}
set --
. "$hook"
`;

/**
 * A throw-away Docker config for token $2; its config.json comes by stdin. Contexts and plugins of the
 * user's own are kept. Prints its path.
 */
export const makeDockerConfig = `${path}
config=$1/.lockkeeper/docker-config.$2
own=\${DOCKER_CONFIG:-$HOME/.docker}
rm -rf "$config"
mkdir -m 700 "$config"
cat >"$config/config.json"
for part in contexts cli-plugins; do
  if [ -d "$own/$part" ]; then ln -s "$own/$part" "$config/$part"; fi
done
echo "$config"
`;

/** The user's own Docker config; {} where there is none. */
export const readDockerConfig = `cat "\${DOCKER_CONFIG:-$HOME/.docker}/config.json" 2>/dev/null || echo '{}'`;

/** Logs in to registry $3 as $4 with the password from stdin, into the config $2. */
export const registryLogin = `${path}
DOCKER_CONFIG=$2 docker login --username "$4" --password-stdin "$3"
`;

/** cksum of each file $1… that is a regular file: \`sum size path\`. */
export const checksums = `
for file; do if [ -f "$file" ]; then cksum "$file"; fi; done
`;

/** Release ids, newest last, then \`bad <id>\` lines. */
export const listReleases = `
cd "$1/.lockkeeper"
for dir in releases/*/; do if [ -f "$dir/release.json" ]; then printf '%s\\n' "--- \${dir#releases/}"; cat "$dir/release.json"; echo; fi; done
for mark in bad/*; do if [ -f "$mark" ]; then echo "--- bad \${mark#bad/}"; fi; done
`;

/** Last $1 log lines of containers $2…, each under its own head. */
export const lastLogs = `${path}
lines=$1; shift
for id; do echo "--- $id"; docker logs --tail "$lines" "$id" 2>&1 || true; done
`;

/** The TCP tables of the network that process $1 lives in. 66: the process has gone or cannot be seen. */
export const tcpTables = `
[ -r "/proc/$1/net/tcp" ] || exit 66
cat "/proc/$1/net/tcp"
cat "/proc/$1/net/tcp6" 2>/dev/null || true
`;

/** Free kilobytes where the project lies. */
export const freeSpace = `df -Pk "$1" | tail -n 1 | { read -r _ _ _ free _; echo "$free"; }`;
