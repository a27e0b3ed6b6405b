import { path } from '../host/fragments.ts';

/**
 * Makes \`view\` in release directory $2: the release's tree, and by links what else lies in $1, the directory on the
 * host that the tree stands for, and will still lie there. $3 is \`git\`, or \`upload\` with the tree of the release
 * that serves as $4: its files go with it. Prints \`env\` where the tree holds the file $5.
 */
export const makeView = `${path}
root=$1 release=$2 kind=$3 served=\${4:-$2/none}
view=$release/view
rm -rf "$view"
cp -al "$release/tree" "$view"
if [ -n "$5" ] && [ -e "$view/$5" ]; then echo env; fi
# A directory that only the host has is told as one.
untracked() {
  cd "$root"
  git -c core.fsmonitor=false -c core.quotePath=false ls-files --others --directory
}
others() {
  for entry in "$root/$1"* "$root/$1".[!.]*; do
    name=$1\${entry##*/}
    if [ ! -e "$entry" ] && [ ! -L "$entry" ]; then continue; fi
    if [ -d "$entry" ] && [ ! -L "$entry" ] && { [ -d "$view/$name" ] || [ -d "$served/$name" ]; }; then others "$name/"
    elif [ ! -e "$served/$name" ]; then printf '%s\\n' "$name"
    fi
  done
}
if [ "$kind" = git ]; then untracked; else others ''; fi | {
  dir=
  set --
  link() { if [ $# -gt 0 ] && mkdir -p "$view/$dir" 2>/dev/null; then ln -s "$@" "$view/$dir/" 2>/dev/null || true; fi; }
  while IFS= read -r name; do
    name=\${name%/}
    case /$name/ in */.lockkeeper/* | */.git/*) continue ;; esac
    if [ -e "$view/$name" ] || [ -L "$view/$name" ]; then continue; fi
    case $name in */*) parent=\${name%/*} ;; *) parent=. ;; esac
    # Many at a time: a directory of data may hold thousands.
    if [ "$parent" != "$dir" ] || [ $# -gt 200 ]; then
      link "$@"
      set --
      dir=$parent
    fi
    set -- "$@" "$root/$name"
  done
  link "$@"
}
`;
