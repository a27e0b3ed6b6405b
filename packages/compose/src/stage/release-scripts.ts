import { compose, path, write } from '../host/fragments.ts';

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

/** cksum of each file $1… that is a regular file: \`sum size path\`. */
export const checksums = `
for file; do if [ -f "$file" ]; then cksum "$file"; fi; done
`;
