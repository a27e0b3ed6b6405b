import { path } from '../host/fragments.ts';
import { asInNone, minus } from './script-parts.ts';

/**
 * What the host does with uploaded files. A manifest is what sha256sum reads and writes: a hash, two spaces, a path
 * relative to the project directory; no path in it has a line end or a backslash.
 */

/** Unpacks a tar stream (stdin) below release directory $1. */
export const unpack = `${path}
rm -rf "$1/tree"
mkdir -p "$1/tree"
umask 022
tar -xof - -C "$1/tree"
`;

/** \`wrong <manifest>\`: paths that are not, or hold something else than the manifest says, here. */
const wrong = `
wrong() { if [ -s "$1" ]; then sha256sum -c "$1" 2>/dev/null | sed -n 's/: FAILED.*$//p'; fi; }
paths() { if [ -s "$1" ]; then cut -c 67- "$1"; fi; }
`;

/** Files that are as in none of the manifests $@. */
const foreign = `${wrong}${asInNone}
foreign() {
  for manifest; do
    paths "$manifest" | sed 's/^/has /'
    wrong "$manifest" | sed 's/^/differs /'
  done | as_in_none
}
`;

/**
 * Looks at what was uploaded to release directory $2 of project $1, whose manifest comes by stdin; $3… are the
 * manifests of releases whose files may lie in the project directory, the one that serves first. Prints
 * \`damaged <path>\` for what did not arrive whole, \`blocked <path>\` for what cannot be put in place,
 * \`changed <path>\` for what a person changed, \`differs <path>\` for what is not in place as it was uploaded, then the
 * manifest of what serves after a line \`serving\`.
 */
export const inspectUpload = `${path}${foreign}
cd "$1"; project=$1 release=$2
shift 2
cat >"$release/manifest"
cd "$release/tree"
wrong "$release/manifest" | sed 's/^/damaged /'
cd "$project"
paths "$release/manifest" | while IFS= read -r file; do
  if [ -d "$file" ] || [ -L "$file" ]; then echo "blocked $file"; continue; fi
  parent=$file
  while :; do
    case $parent in */*) parent=\${parent%/*} ;; *) break ;; esac
    if [ -L "$parent" ] || { [ -e "$parent" ] && [ ! -d "$parent" ]; }; then echo "blocked $parent"; fi
  done
done | sort -u
if [ $# -gt 0 ]; then foreign "$@" | sed 's/^/changed /'; fi
wrong "$release/manifest" | sed 's/^/differs /'
echo serving
if [ -f "\${1-}" ]; then cat "$1"; fi
`;

/**
 * Puts the files of release directory $2 ('' = none) in place in project $1. Whatever any release of ours covers
 * and this one does not becomes what it was before us: $3 is the directory that keeps that, its \`manifest\` of files
 * and its \`absent\` paths. First what this release covers is added to it: anew where $5 is \`fresh\` and the release
 * whose manifest is $6 (the one that serves) does not cover it. Then, where $5 is \`mixed\` (an interrupted run, or the
 * way back), files that hold none of what the manifests $6… say are copied to the directory $4.
 * Each file is whole at once; doing it twice does no harm.
 */
export const placeUpload = `${path}${foreign}${minus}
umask 022
cd "$1"; release=$2 before=$3 aside=$4 how=$5
shift 5
manifest=/dev/null serving=/dev/null
if [ -n "$release" ] && [ -f "$release/manifest" ]; then manifest=$release/manifest; fi
if [ "$how" = fresh ] && [ -f "\${1-}" ]; then serving=$1; fi
mkdir -p "$before/tree"
chmod 700 "$before"
touch "$before/manifest" "$before/absent"
scratch=$before/scratch

if [ "$how" = fresh ]; then paths "$serving" >"$scratch.covered"
else { paths "$before/manifest"; cat "$before/absent"; } >"$scratch.covered"
fi
paths "$manifest" | minus "$scratch.covered" >"$scratch.new"
# Anew: what was kept of these is out of date.
minus "$scratch.new" <"$before/absent" >"$scratch.absent"
list=$scratch.new awk 'BEGIN { file = ENVIRON["list"]; while ((getline line <file) > 0) drop[line] } !(substr($0, 67) in drop)' \\
  "$before/manifest" >"$scratch.manifest"
while IFS= read -r file; do
  if [ -d "$file" ]; then echo "$file is a directory" >&2; exit 1
  elif [ -e "$file" ] || [ -L "$file" ]; then
    case $file in */*) mkdir -p "$before/tree/\${file%/*}" ;; esac
    cp -p "$file" "$before/tree/$file"
    sha256sum "$file" >>"$scratch.manifest"
  else printf '%s\\n' "$file" >>"$scratch.absent"
  fi
done <"$scratch.new"
mv -f "$scratch.manifest" "$before/manifest"
mv -f "$scratch.absent" "$before/absent"

if [ "$how" = mixed ]; then
  foreign "$@" "$before/manifest" "$manifest" >"$scratch.aside"
  while IFS= read -r file; do
    mkdir -p "$aside"
    case $file in */*) mkdir -p "$aside/\${file%/*}" ;; esac
    cp -p "$file" "$aside/$file"
    echo "$file was changed by hand: a copy is in $aside"
  done <"$scratch.aside"
fi

put() {
  case $2 in */*) mkdir -p "\${2%/*}" ;; esac
  if [ -d "$2" ]; then echo "$2 is a directory" >&2; exit 1; fi
  cp -p "$1/$2" "$2.lockkeeper-part"
  mv -f "$2.lockkeeper-part" "$2"
}
{
  wrong "$manifest"
  paths "$manifest" | while IFS= read -r file; do
    if [ -x "$release/tree/$file" ]; then [ -x "$file" ] || printf '%s\\n' "$file"
    elif [ -x "$file" ]; then printf '%s\\n' "$file"
    fi
  done
} >"$scratch.put"
while IFS= read -r file; do put "$release/tree" "$file"; done <"$scratch.put"
paths "$manifest" >"$scratch.covered"
wrong "$before/manifest" | minus "$scratch.covered" >"$scratch.put"
while IFS= read -r file; do put "$before/tree" "$file"; done <"$scratch.put"
minus "$scratch.covered" <"$before/absent" >"$scratch.put"
while IFS= read -r file; do
  rm -f "$file" "$file.lockkeeper-part"
  parent=$file
  while :; do
    case $parent in */*) parent=\${parent%/*} ;; *) break ;; esac
    rmdir "$parent" 2>/dev/null || break
  done
done <"$scratch.put"
rm -f "$scratch".*
`;

/** Prints the manifests $1 and $2 of two releases, with a line \`and\` between them; one that is not there is empty. */
export const manifests = `
if [ -f "$1" ]; then cat "$1"; fi
echo and
if [ -f "$2" ]; then cat "$2"; fi
`;
