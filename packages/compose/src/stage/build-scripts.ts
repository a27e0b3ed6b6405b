import { path } from '../host/fragments.ts';

/** Prints \`memory <kB>\` that programs can get, swap included, and \`disk <kB>\` where Docker keeps images. */
export const roomToBuild = `${path}
awk '/^(MemAvailable|SwapFree):/ { kb += $2 } END { print "memory", kb }' /proc/meminfo 2>/dev/null || true
root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null || true)
if [ -n "$root" ]; then df -Pk "$root" 2>/dev/null | tail -n 1 | { read -r _ _ _ free _ && echo "disk $free"; } || true; fi
`;

/**
 * Copies Dockerfile $3 of context $2 to $1, and beside it what the build leaves out: what the user's own ignore file
 * says (that of the Dockerfile before that of the context, as BuildKit has it), and our record.
 */
export const copyDockerfile = `
copy=$1 context=$2 dockerfile=$3
cd "$context"
mkdir -p "\${copy%/*}"
cp "$dockerfile" "$copy"
if [ -f "$dockerfile.dockerignore" ]; then cp "$dockerfile.dockerignore" "$copy.dockerignore"
elif [ -f .dockerignore ]; then cp .dockerignore "$copy.dockerignore"
else : >"$copy.dockerignore"
fi
printf '\\n%s\\n' '**/.lockkeeper' >>"$copy.dockerignore"
`;

/** The ignore file of context $1; nothing where there is none. */
export const readIgnoreFile = 'if [ -f "$1/.dockerignore" ]; then cat "$1/.dockerignore"; fi';
