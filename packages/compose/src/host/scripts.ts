import { path, runners } from './fragments.ts';

/**
 * The scripts that run on the host: constant POSIX sh, for dash and busybox too. Inputs come as positional
 * arguments, secrets by stdin. In all of them `$1` is the project directory, absolute, unless said otherwise.
 */

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
const hooks = `${compose}
docker() {
  if [ "\${1-}" = compose ]; then shift; compose "$@"; else command docker "$@"; fi
}
run_hook() {
  load_environment
  set --
  . "$hook"
}
`;

/**
 * Looks at the host before anything else. $1 is the project directory as the user gave it (`~/` allowed).
 * Prints `docker …`, `daemon …`, `plugin <version>`, `standalone <version>` or `compose absent`, then
 * `directory …` or what is wrong with it, then `free <kilobytes>`.
 */
export const preflight = `${path}
look() {
  if ! command -v docker >/dev/null; then echo 'docker absent'; return; fi
  echo 'docker present'
  look_for_compose &
  if out=$(docker version --format '{{json .}}' 2>&1); then echo 'daemon reached'
  else echo 'daemon refused'; printf '%s\\n' "$out" | sed 's/^/said /'
  fi
  wait
}
look_for_compose() {
  if out=$(docker compose version --short 2>/dev/null); then echo "plugin $out"
  elif command -v docker-compose >/dev/null && out=$(docker-compose version --short 2>/dev/null); then echo "standalone $out"
  else echo 'compose absent'
  fi
}
look
case $1 in
  "~") dir=$HOME ;;
  "~/"*) dir=$HOME/\${1#"~/"} ;;
  *) dir=$1 ;;
esac
if [ ! -d "$dir" ]; then echo 'no directory'; exit 0; fi
if [ -L "$dir" ]; then cd "$dir"; echo "link $(pwd -P)"; exit 0; fi
if [ ! -r "$dir" ] || [ ! -x "$dir" ]; then echo 'closed directory'; exit 0; fi
# As written, not resolved: Compose labels containers with the path it was called by.
cd "$dir"
echo "directory $(pwd)"
df -Pk . | tail -n 1 | { read -r _ _ _ free _; echo "free $free"; }
`;

/** Makes the record's directory, kept out of git's sight. 67: it is a symbolic link. */
const prepare = `${path}
state=$1/.lockkeeper
[ -L "$state" ] && exit 67
mkdir -p "$state/releases" "$state/bad" "$state/steps"
chmod 700 "$state"
[ -f "$state/.gitignore" ] || echo '*' >"$state/.gitignore"
`;

/** What the record says now: the serving id (or an empty line), then the pending record, if there is one. */
const tell = `
tell() {
  head -n 1 "$1/.lockkeeper/serving" 2>/dev/null || echo
  cat "$1/.lockkeeper/pending.json" 2>/dev/null || true
}
`;
export const readRecord = `${tell}
tell "$1"
`;

/** Takes pairs of path and number of lines from the arguments, up to \`--\`; their lines come by stdin, in order. Each is 0600 and whole at once. */
const write = `
while [ $# -gt 0 ]; do
  if [ "$1" = -- ]; then shift; break; fi
  file=$1 count=$2
  shift 2
  mkdir -p "\${file%/*}"
  while [ "$count" -gt 0 ] && IFS= read -r line; do printf '%s\\n' "$line"; count=$((count - 1)); done >"$file.part"
  mv -f "$file.part" "$file"
done
`;

/** Writes text files: path and number of lines each. */
export const writeFiles = `${path}${write}`;

/** $1 a path. 66: there is none. */
export const readFile = `[ -f "$1" ] || exit 66; cat "$1"`;

/** Paths $1…, removed with all below them. */
export const removePaths = `rm -rf "$@"`;

/** Appends stdin to the audit log. */
export const appendAudit = 'umask 077; cat >>"$1/.lockkeeper/audit.log"';

/** Prints each release's record under its id, and \`bad <id>\` heads. */
const list = `
list() {
  cd "$1/.lockkeeper"
  for dir in releases/*/; do if [ -f "$dir/release.json" ]; then printf '%s\\n' "--- \${dir#releases/}"; cat "$dir/release.json"; echo; fi; done
  for mark in bad/*; do if [ -f "$mark" ]; then echo "--- bad \${mark#bad/}"; fi; done
}
`;
export const listReleases = `${list}
list "$1"
`;

/** Release $2 serves from now on: its record and a line for the audit log come by stdin. Then lists the releases. */
export const settle = `${path}${list}
directory=$1 id=$2
cd "$directory/.lockkeeper"
IFS= read -r record
IFS= read -r line
printf '%s\\n' "$record" >"releases/$id/release.json.part"
mv -f "releases/$id/release.json.part" "releases/$id/release.json"
echo "$id" >serving.part
mv -f serving.part serving
rm -f pending.json "bad/$id"
# What a run that was killed had begun to stage.
for dir in releases/*/; do if [ ! -f "$dir/release.json" ]; then rm -rf "$dir"; fi; done
printf '%s\\n' "$line" >>audit.log
list "$directory"
`;

/**
 * Takes the lock for token $2; stdin is who we are. Prints `taken` and what the record says, or \`held\` with the
 * seconds since the owner's last sign of life, whether a step of another run lives, whether the lock is ours (and only
 * that step is waited for), and who the owner is. It is taken over only when it is older than $3 seconds and no step
 * of its owner lives. A step that should have ended long ago is ended: nobody is there any more who would.
 */
export const takeLock = `${prepare}${tell}${runners}
dir=$1 token=$2 ttl=$3
owner=$(cat)
now=$(date +%s)
printf '%s\\n%s\\n' "$token" "$owner" >"$state/lock.$token"
echo "$now" >"$state/beat.$token"
look_at_others() {
  alive=no
  for step in "$state"/steps/*; do
    case \${step##*/} in "$token".* | '*') continue ;; esac
    running=no
    if lives "$step"; then running=yes
    elif [ -e "$step/exit" ] || [ -z "$(containers_of "$step")" ]; then continue
    fi
    alive=yes
    if [ "$running" = yes ] && [ "$now" -gt "$limit" ]; then signal TERM "$pid"; fi
    if [ "$now" -gt "$((limit + 15))" ]; then
      if [ "$running" = yes ]; then signal KILL "$pid"; fi
      kill_containers_of "$step"
    fi
  done
}
mine=no age=0 over=
if ln "$state/lock.$token" "$state/lock" 2>/dev/null; then mine=yes; fi
holder=$(head -n 1 "$state/lock" 2>/dev/null || true)
if [ "$holder" = "$token" ]; then mine=yes; fi
look_at_others
if [ "$mine" = no ]; then
  beat=$(cat "$state/beat.$holder" 2>/dev/null || echo 0)
  age=$((now - beat))
  if [ "$alive" = no ] && [ "$age" -gt "$ttl" ] && mkdir "$state/takeover.$holder.$((now / 60))" 2>/dev/null; then
    mv -f "$state/lock.$token" "$state/lock"
    rm -rf "$state/takeover.$holder".* "$state/beat.$holder"
    if [ "$(head -n 1 "$state/lock")" = "$token" ]; then mine=yes over=' over'; fi
    # A step starts only while its lock is held: one that saw the lock just before is seen now.
    look_at_others
  fi
fi
rm -f "$state/lock.$token"
if [ "$mine" = yes ] && [ "$alive" = no ]; then
  for left in "$state"/steps/* "$state"/docker-config.* "$state"/run.*; do
    case $left in "$state/steps/$token".* | "$state/docker-config.$token" | "$state/run.$token") ;; *) rm -rf "$left" ;; esac
  done
  echo "taken$over"
  tell "$dir"
  exit 0
fi
if [ "$mine" = no ]; then rm -f "$state/beat.$token"; fi
echo "held $age $alive $mine"
tail -n +2 "$state/lock" 2>/dev/null || true
`;

/** A sign of life for token $2. 69: the lock is somebody else's now. */
export const beatLock = `
state=$1/.lockkeeper
[ "$(head -n 1 "$state/lock" 2>/dev/null)" = "$2" ] || exit 69
date +%s >"$state/beat.$2"
`;

/** Gives the lock of token $2 back, and what that run left lying. Does nothing to somebody else's, nor to a step that lives. */
export const releaseLock = `${runners}
state=$1/.lockkeeper
for step in "$state/steps/$2".*; do if ! lives "$step"; then rm -rf "$step"; fi; done
rm -rf "$state/docker-config.$2" "$state/run.$2" "$state/beat.$2" "$state/lock.$2"
if [ "$(head -n 1 "$state/lock" 2>/dev/null)" = "$2" ]; then rm -f "$state/lock"; fi
`;

/** Looks in directory $1 for Compose files $3… and reads the env file $2. Prints `file <name>` lines, then `env` and its text if there is one. */
export const lookForFiles = `
cd "$1"; env=$2; shift 2
for name; do if [ -f "$name" ]; then printf 'file %s\\n' "$name"; fi; done
if [ -f "$env" ]; then echo env; cat "$env"; fi
`;

/**
 * Prints the hash of each service of the project $json, as \`up\` labels its containers with it. Not that of
 * \`config --hash\` for the Compose files themselves: that leaves out what \`env_file\` sets (Compose 2.26 to 2.40).
 */
const hashes = `
rendered=$release/rendered.json
trap 'rm -f "$rendered"' EXIT
printf '%s\\n' "$json" >"$rendered"
hash_services() {
  set -- config --hash '*'
  before=
  while IFS= read -r line; do
    if [ "$before" = --profile ]; then set -- --profile "$line" "$@"; fi
    before=$line
  done <"$release/args"
  set -- -f "$rendered" --env-file /dev/null "$@"
  if [ "$kind" = plugin ]; then docker compose "$@"; else docker-compose "$@"; fi
}
hash_services
rm -f "$rendered"
`;

/**
 * Writes files (pairs as above, then \`--\`), copies files $6… (relative to directory $1) into release directory
 * $3, numbered in their order, and prints what Compose ($2: plugin or standalone) makes of them: hashes of
 * the services, a line \`config\`, the JSON. The text $4, where there is any, becomes $5 in it.
 */
export const layOut = `${path}${write}
cd "$1"; kind=$2 release=$3 from=$4 to=$5; shift 5
mkdir -p "$release/files"
n=0
for name; do
  cp "$name" "$release/files/$n-\${name##*/}"
  n=$((n + 1))
done
${compose}
json=$(compose config --format json)
if [ -n "$from" ]; then
  json=$(printf '%s\\n' "$json" | from=$from to=$to awk 'BEGIN { from = ENVIRON["from"]; to = ENVIRON["to"] } {
    line = ""
    while (at = index($0, from)) { line = line substr($0, 1, at - 1) to; $0 = substr($0, at + length(from)) }
    print line $0
  }')
fi
${hashes}
echo config
printf '%s\\n' "$json"
`;

/** docker compose with a release: $1 project, $2 kind, $3 release, $4 Docker config ('' = the user's own), $5… */
export const composeStep = `${path}
cd "$1"; kind=$2 release=$3
if [ -n "$4" ]; then DOCKER_CONFIG=$4; export DOCKER_CONFIG; fi
shift 4
${compose}
compose "$@"
`;

/**
 * In front of a build: BuildKit, which reads an ignore file beside a Dockerfile and shows its progress in lines; and
 * no attestation, which would make a new image of what did not change.
 */
export const buildSettings = `
DOCKER_BUILDKIT=1 BUILDKIT_PROGRESS=plain BUILDX_NO_DEFAULT_ATTESTATIONS=1
export DOCKER_BUILDKIT BUILDKIT_PROGRESS BUILDX_NO_DEFAULT_ATTESTATIONS
`;

/** docker $2… with the Docker config $1 ('' = the user's own). */
export const dockerStep = `${path}
if [ -n "$1" ]; then DOCKER_CONFIG=$1; export DOCKER_CONFIG; fi
shift
exec docker "$@"
`;

/** docker $1…: reads only. */
export const dockerRead = `${path}
docker "$@"
`;

/** All containers with one of the labels $1…, as docker inspect prints them; nothing where there are none. */
export const inspectLabelled = `${path}
ids=$( { for label; do docker ps -aq --no-trunc --filter "label=$label" & done; wait; } | sort -u)
# A container may go between the two questions: what remains is still told.
[ -z "$ids" ] || docker inspect $ids || true
`;

/** The images of all references $1… that are here, in their order; those that are not are named on stderr. */
export const inspectImages = `${path}
docker image inspect "$@" || true
`;

/** The same one by one, each under its reference, for where one answer cannot be told apart. */
export const inspectEachImage = `${path}
for reference; do
  if line=$(docker image inspect "$reference" 2>/dev/null); then
    printf '%s\\n' "--- $reference"
    printf '%s\\n' "$line"
  fi
done
`;

/** The platform of the daemon, then all images, as docker image inspect prints them. */
export const inspectAllImages = `${path}
docker version --format '{{.Server.Os}}/{{.Server.Arch}}'
ids=$(docker images -q --no-trunc | sort -u)
# One may go between the two questions.
[ -z "$ids" ] || docker image inspect $ids || true
`;

/** Loads the image that stdin is, and tells of it as docker image inspect does. It has no name yet. */
export const loadImage = `${path}
said=$(docker load)
id=$(printf '%s\\n' "$said" | sed -n 's/^Loaded image\\( ID\\)\\{0,1\\}: //p' | tail -n 1)
if [ -z "$id" ]; then printf '%s\\n' "$said" >&2; exit 1; fi
docker image inspect "$id"
`;

/**
 * Makes the file $2 a copy of $1, a release's env file, where that is one, whole at once, and each
 * reference stand for its image: pairs $3 $4, … of id and reference.
 */
export const putInPlace = `${path}
from=$1 to=$2; shift 2
if [ -f "$from" ]; then
  mkdir -p "\${to%/*}"
  cp "$from" "$to.part"
  mv -f "$to.part" "$to"
fi
while [ $# -gt 1 ]; do docker tag "$1" "$2"; shift 2; done
`;

/** Makes each reference stand for its image: pairs $1 $2, $3 $4, … of id and reference. */
export const tagImages = `${path}
while [ $# -gt 1 ]; do docker tag "$1" "$2"; shift 2; done
`;

/**
 * Runs a hook file in the project directory under sh -eu, where \`docker compose\` means the release.
 * $1 project, $2 kind, $3 release, $4 the hook's file.
 */
export const runHook = `${path}
cd "$1"; kind=$2 release=$3 hook=$4
${hooks}
run_hook
`;

/**
 * \`pin\`: the hosts file of proxy $1, known by its address $2, says the lines $3, and no others of ours. Written
 * in place, because Docker mounts it; a restart of the proxy undoes it. Says \`pinned\` where that is a change.
 */
const pin = `
in_proxy='
own=$1 now=$2 kept= had= tab=$(printf "\\t") end="
"
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
    *" # lockkeeper") had=$had$line$end ;;
    *) kept=$kept$line$end ;;
  esac
done </etc/hosts
case $kept in *"$own$tab"*) ;; *) exit 1 ;; esac
if [ "$had" = "$now" ]; then exit 0; fi
printf "%s%s" "$kept" "$now" >/etc/hosts
echo pinned
'
pin() {
  command docker exec -u 0 "$1" sh -euc "$in_proxy" sh "$2" "$3" 2>/dev/null ||
    echo "the hosts file of proxy $1 cannot be written: until the others have ended, it sends to them too" >&2
}
`;

/**
 * Proxies look again: hook $4, after each one's hosts file was made to say what it is to find: triples $5 $6 $7,
 * … as \`pin\` takes them. $1 project, $2 kind, $3 release.
 */
export const point = `${path}
cd "$1"; kind=$2 release=$3 hook=$4
shift 4
${hooks}${pin}
while [ $# -gt 0 ]; do pin "$1" "$2" "$3" >/dev/null; shift 3; done
run_hook
`;

/**
 * Containers stop, each in its own time (stop_signal, stop_grace_period), and go. First the proxies are made
 * to find the others alone (triples $5 $6 $7, … up to \`--\`, as for \`point\`) and have a second to do so; the
 * moment the containers have stopped, they go by Docker's DNS again: none of this may wait for a journey to
 * the runner and back. Without a hook $4 the proxy sees to itself. What is gone already is no error.
 */
export const retire = `${path}
cd "$1"; kind=$2 release=$3 hook=$4
shift 4
${hooks}${pin}
proxies= changed=
while [ "$1" != -- ]; do
  if [ "$(pin "$1" "$2" "$3")" = pinned ]; then changed=yes; fi
  proxies="$proxies $1:$2"
  shift 3
done
shift
if [ -n "$changed" ]; then (run_hook); sleep 1; fi
there=$(command docker inspect --format '{{.Id}}' "$@" 2>/dev/null || true)
if [ -n "$there" ]; then command docker stop $there >/dev/null; fi
for proxy in $proxies; do pin "\${proxy%%:*}" "\${proxy#*:}" '' >/dev/null; done
if [ -n "$hook" ]; then (run_hook); fi
if [ -n "$there" ]; then command docker rm $there >/dev/null; fi
`;

/** Memory that each of containers $1… uses, \`id used / limit\` in docker's words, then MemAvailable of the host. */
export const memory = `${path}
docker stats --no-stream --no-trunc --format '{{.ID}} {{.MemUsage}}' "$@"
grep '^MemAvailable:' /proc/meminfo
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

/** Makes a directory outside the project, for a dry run. */
export const temporary = 'umask 077; mktemp -d';
