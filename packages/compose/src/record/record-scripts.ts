import { path, tell, write } from '../host/fragments.ts';

export const readRecord = `${tell}
tell "$1"
`;

/** Writes text files: path and number of lines each. */
export const writeFiles = `${path}${write}`;

/** $1 a path. 66: there is none. */
export const readFile = `[ -f "$1" ] || exit 66; cat "$1"`;

/** Paths $1…, removed with all below them. */
export const removePaths = `rm -rf "$@"`;

/** Appends stdin to the audit log. */
export const appendAudit = 'umask 077; cat >>"$1/.lockkeeper/audit.log"';

/** Prints each release's record under its id, \`bad <id>\` heads, and \`staging <id>\` with the note of a run that left no record. */
const list = `
list() {
  cd "$1/.lockkeeper"
  for dir in releases/*/; do if [ -f "$dir/release.json" ]; then printf '%s\\n' "--- \${dir#releases/}"; cat "$dir/release.json"; echo; fi; done
  for mark in bad/*; do if [ -f "$mark" ]; then echo "--- bad \${mark#bad/}"; fi; done
  for note in staging/*; do
    # One that is being written is this run's own; one that never will be is of a run that brought nothing.
    case $note in *.part | 'staging/*') continue ;; esac
    if [ ! -f "releases/\${note#staging/}/release.json" ]; then echo "--- staging \${note#staging/}"; cat "$note"; fi
  done
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
for note in staging/*; do if [ -f "releases/\${note#staging/}/release.json" ]; then rm -f "$note"; fi; done
rm -f staging/*.part
rmdir staging 2>/dev/null || true
printf '%s\\n' "$line" >>audit.log
list "$directory"
`;

/** Makes a directory outside the project, for a dry run. */
export const temporary = 'umask 077; mktemp -d';
