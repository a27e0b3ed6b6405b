import { path } from './fragments.ts';

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
