import { compose, hooks, path } from './fragments.ts';

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

/**
 * All containers with one of the labels $1…, as docker inspect prints them; nothing where there are none. 75: Docker does
 * not answer, so that nobody knows.
 */
export const inspectLabelled = `${path}
ids=$( { for label; do { docker ps -aq --no-trunc --filter "label=$label" || echo away; } & done; wait; } | sort -u)
case $ids in *away*) exit 75 ;; esac
[ -n "$ids" ] || exit 0
exec 3>&1
said=$(docker inspect $ids 2>&1 >&3) && exit 0
case $said in
  # A container may go between the two questions: what remains is still told.
  *[Nn]'o such '*) ;;
  *) printf '%s\\n' "$said" >&2; exit 75 ;;
esac
`;

/**
 * Writes to the file $1 that $2… are wanted and which images are here, and prints it. 75: Docker does not answer; what
 * somebody else brought must not pass for ours.
 */
export const noteImages = `${path}
file=$1
shift
# Docker 29 keeps to itself, without --all, those that have no tag (docker/cli#6574).
had=$(docker images --all --quiet --no-trunc) || exit 75
mkdir -p "\${file%/*}"
{
  for reference; do printf 'wants %s\\n' "$reference"; done
  printf '%s\\n' "$had" | sort -u | sed -n 's/^sha256:/had &/p'
} >"$file.part"
mv -f "$file.part" "$file"
cat "$file"
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
ids=$(docker images --all --quiet --no-trunc | sort -u)
# One may go between the two questions.
[ -z "$ids" ] || docker image inspect $ids || true
`;

/** Loads the image that stdin is, names it $1, and tells of it as docker image inspect does. */
export const loadImage = `${path}
said=$(docker load)
id=$(printf '%s\\n' "$said" | sed -n 's/^Loaded image\\( ID\\)\\{0,1\\}: //p' | tail -n 1)
if [ -z "$id" ]; then printf '%s\\n' "$said" >&2; exit 1; fi
docker tag "$id" "$1"
docker image inspect "$id"
`;

/**
 * Removes names $1…, then, behind \`--\`, those images that have no tag left: with their digests, which keep an image when
 * its last tag goes. What a container uses Docker keeps.
 */
export const dropImages = `${path}
drop() { docker image rm "$@" >/dev/null 2>&1; }
while [ $# -gt 0 ]; do
  if [ "$1" = -- ]; then shift; break; fi
  drop "$1" || true
  shift
done
for id; do
  named=$(docker image inspect --format '{{json .RepoTags}} {{json .RepoDigests}}' "$id" 2>/dev/null) || continue
  case $named in '[] '* | 'null '*) ;; *) continue ;; esac
  digests=$(printf '%s\\n' "\${named#* }" | tr -d '[]"' | tr , ' ')
  drop \${digests:-"$id"} || drop "$id" || true
done
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

/** Memory that each of containers $1… uses, \`id used / limit\` in docker's words, then MemAvailable of the host. */
export const memory = `${path}
docker stats --no-stream --no-trunc --format '{{.ID}} {{.MemUsage}}' "$@"
grep '^MemAvailable:' /proc/meminfo
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
