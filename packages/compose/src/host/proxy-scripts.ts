import { hooks, path } from './fragments.ts';

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
