import { path } from '../host/fragments.ts';
import { asInNone, minus } from './script-parts.ts';

/**
 * What the host does with git. `$1` is the project directory unless said otherwise. No hook runs, no program for
 * file system events, nobody is asked for a password; what git says is English.
 */
const git = `${path}
umask 022
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_OBJECT_DIRECTORY GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_NAMESPACE
GIT_TERMINAL_PROMPT=0 GIT_OPTIONAL_LOCKS=0
export GIT_TERMINAL_PROMPT GIT_OPTIONAL_LOCKS
git() {
  command git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.quotePath=false -c gc.auto=0 \\
    -c maintenance.auto=false -c submodule.recurse=false -c fetch.recurseSubmodules=false -c advice.detachedHead=false "$@"
}
`;

/**
 * Tells of the checkout that the project lies in: \`git absent\`, or \`top …\`, \`prefix …\` (of the project below
 * it; with a slash), \`tracked yes\` where the checkout has files below it, \`head …\`, \`branch …\`, \`origin yes\`,
 * \`shallow yes\`; \`none\` where there is no checkout, with \`empty yes\` where there is nothing else either, and
 * \`said …\` where git refuses to look.
 */
export const lookAtCheckout = `${git}
cd "$1"
if ! command -v git >/dev/null; then echo 'git absent'; exit 0; fi
if ! top=$(git rev-parse --show-toplevel 2>&1); then
  echo none
  case $top in *'not a git repository'*) ;; *) printf '%s\\n' "$top" | sed 's/^/said /' ;; esac
  if [ -z "$(ls -A | grep -vx .lockkeeper || true)" ]; then echo 'empty yes'; fi
  exit 0
fi
echo "top $top"
echo "prefix $(git rev-parse --show-prefix)"
if [ -n "$(git ls-files | head -n 1)" ]; then echo 'tracked yes'; fi
if [ -z "$(ls -A | grep -vxe .lockkeeper -e .git || true)" ]; then echo 'empty yes'; fi
if head=$(git rev-parse -q --verify 'HEAD^{commit}'); then echo "head $head"; fi
if branch=$(git symbolic-ref -q --short HEAD); then echo "branch $branch"; fi
if git config remote.origin.url >/dev/null; then echo 'origin yes'; fi
if [ "$(git rev-parse --is-shallow-repository)" = true ]; then echo 'shallow yes'; fi
`;

/**
 * Talks to the remote. A token comes by stdin and is handed to git by a credential helper that is constant, for
 * server $server alone: it is in no argument and no file, and helpers of the host, which might keep it, do not
 * hear of it.
 */
const remote = `
LOCKKEEPER_GIT_TOKEN=$(cat)
export LOCKKEEPER_GIT_TOKEN
helper='!f() { if [ "$1" = get ]; then echo username=x-access-token; echo "password=$LOCKKEEPER_GIT_TOKEN"; fi; }; f'
ask() {
  if [ -z "$LOCKKEEPER_GIT_TOKEN" ]; then git "$@"
  else git -c credential.helper= -c "credential.$server.helper=$helper" -c http.followRedirects=false "$@"
  fi
}
`;

/** Makes an empty project directory $1 a checkout whose origin is $2. */
export const initialise = `${git}
cd "$1"
git init -q --template=
git remote add origin "$2"
`;

/** Prints what the remote $2 knows as $4, as git ls-remote does. $3 is the server that a token (stdin) is for. */
export const listRef = `${git}
cd "$1"; server=$3
${remote}
ask ls-remote "$2" "$4" "refs/heads/$4" "refs/tags/$4" "refs/tags/$4^{}"
`;

/**
 * Makes the commit $4 be here: from the remote $2 by its id, or, where the server gives none by its id, with all
 * branches and tags ($5 is a name that it is known by, or ''). The work tree stays as it is. $3 as above; $6 is a
 * directory that takes the objects instead of the repository ('' = the repository).
 */
export const fetchCommit = `${git}
cd "$1"; remote=$2 server=$3 commit=$4 name=$5
${remote}
if [ -n "$6" ]; then
  GIT_ALTERNATE_OBJECT_DIRECTORIES=$(cd "$(git rev-parse --git-path objects)" && pwd)
  GIT_OBJECT_DIRECTORY=$6
  mkdir -p "$6"
  export GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_OBJECT_DIRECTORY
fi
here() { git cat-file -e "$commit^{commit}" 2>/dev/null; }
if here; then exit 0; fi
depth=
if [ "$(git rev-parse --is-shallow-repository)" = true ] || ! git rev-parse -q --verify HEAD >/dev/null; then depth=--depth=1; fi
if said=$(ask fetch -q --no-tags $depth "$remote" "$commit" 2>&1) && here; then exit 0; fi
if [ -n "$name" ] && ask fetch -q --no-tags $depth "$remote" "$name" >/dev/null 2>&1 && here; then exit 0; fi
case $said in
  *'not our ref'* | *'unadvertised object'* | *"find remote ref"* | *"no such remote ref"*) ;;
  *) printf '%s\\n' "$said" >&2; exit 1 ;;
esac
if [ -n "$depth" ] && [ "$(git rev-parse --is-shallow-repository)" = true ]; then depth=--unshallow; else depth=; fi
ask fetch -q $depth "$remote" '+refs/heads/*:refs/lockkeeper/heads/*' '+refs/tags/*:refs/lockkeeper/tags/*'
git for-each-ref --format='delete %(refname)' refs/lockkeeper/heads refs/lockkeeper/tags | git update-ref --stdin
here || exit 66
`;

/** Tracked files that are as in none of the commits $@. $scratch is the name of files that may be written. */
const foreign = `${asInNone}
foreign() {
  for known; do
    rm -f "$scratch.index"
    GIT_INDEX_FILE=$scratch.index git read-tree "$known"
    GIT_INDEX_FILE=$scratch.index git update-index -q --refresh >/dev/null || true
    GIT_INDEX_FILE=$scratch.index git ls-files | sed 's/^/has /'
    GIT_INDEX_FILE=$scratch.index git diff-files --name-only --ignore-submodules | sed 's/^/differs /'
  done | as_in_none
  rm -f "$scratch.index"
}
`;

/**
 * Lays the commit out below release directory $2, once nothing speaks against it. $1 is the top of the checkout,
 * $3 the commit, $4 the project's prefix, $5 what the files are compared with ('' = nothing), $6 a directory with
 * fetched objects ('' = the repository), $7… the commits that the work tree may be a mixture of after an
 * interrupted run. Prints \`changed <file>\` for each tracked file that a person changed, \`overwritten <file>\` for
 * each other file that the commit would overwrite, \`submodule …\`, \`filter <name> <file>\`, \`record yes\` where the
 * commit holds a file of ours; where there is none of these, \`tree <id>\`, \`differs <file>\` for each file that is
 * not as in $5, and \`laid out\`.
 */
export const exportCommit = `${git}${foreign}${minus}
cd "$1"; release=$2 commit=$3 prefix=$4 base=$5
if [ -n "$6" ]; then
  GIT_ALTERNATE_OBJECT_DIRECTORIES=$(cd "$(git rev-parse --git-path objects)" && pwd)
  GIT_OBJECT_DIRECTORY=$6
  export GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_OBJECT_DIRECTORY
fi
shift 6
scratch=$release/scratch index=$(git rev-parse --git-path index)
mkdir -p "$release"
head=$(git rev-parse -q --verify 'HEAD^{commit}' || true)
if [ $# -gt 0 ]; then foreign "$@" | sed 's/^/changed /'
elif [ -n "$head" ]; then
  git status --porcelain --untracked-files=no --ignore-submodules | cut -c 4- | sed 's/^/changed /'
fi >"$scratch.problems"
if [ $# -eq 0 ]; then
  if [ -n "$head" ]; then git diff --name-only --no-renames --diff-filter=A "$head" "$commit"; else git ls-tree -r --name-only "$commit"; fi |
    while IFS= read -r file; do
      # A file where the commit has a directory is in the way too.
      while :; do
        if [ -L "$file" ] || { [ -e "$file" ] && [ ! -d "$file" ]; }; then echo "overwritten $file"; fi
        case $file in */*) file=\${file%/*} ;; *) break ;; esac
      done
    done | sort -u >"$scratch.over"
  # What HEAD has itself is git's own to replace.
  git ls-files | sed 's/^/overwritten /' >"$scratch.tracked"
  minus "$scratch.tracked" <"$scratch.over" >>"$scratch.problems"
fi
GIT_INDEX_FILE=$scratch.index
export GIT_INDEX_FILE
rm -f "$scratch.index"
git -c core.sparseCheckout=false read-tree "$commit"
git ls-files -s | sed -n 's/^160000 [^	]*	/submodule /p' >>"$scratch.problems"
git ls-files -z | git check-attr -z --stdin --cached filter | tr '\\n\\0' ' \\n' | while IFS= read -r file && IFS= read -r _ && IFS= read -r name; do
  case $name in
    unspecified | unset | set) ;;
    lfs | git-crypt) echo "filter $name $file" ;;
    *) if [ -n "$(git config "filter.$name.process" || git config "filter.$name.smudge" || true)" ]; then echo "filter $name $file"; fi ;;
  esac
done >>"$scratch.problems"
if [ -n "$(git ls-files -- "$prefix.lockkeeper" | head -n 1)" ]; then echo 'record yes' >>"$scratch.problems"; fi
if [ -s "$scratch.problems" ]; then cat "$scratch.problems"
else
  git rev-parse "$commit^{tree}" | sed 's/^/tree /'
  if [ -n "$base" ] && git cat-file -e "$base^{commit}" 2>/dev/null; then git diff --name-only --no-renames "$base" "$commit" | sed 's/^/differs /'; fi
  mkdir -p "$release/tree"
  git -c core.sparseCheckout=false checkout-index --all --force --prefix="$release/tree/"
  echo 'laid out'
fi
rm -f "$scratch".*
`;

/**
 * Moves the work tree that the project $1 lies in to the commit $2, and back onto the branch $3 ('' = none) where that still
 * is this commit. Where it may be a mixture of the commits $5…, left by an interrupted run or on the way back, files
 * that a person changed are first copied to the directory $4.
 */
export const checkOut = `${git}${foreign}
cd "$1"; commit=$2 branch=$3 aside=$4
shift 4
cd "./$(git rev-parse --show-cdup)"
if [ $# -gt 0 ]; then
  mkdir -p "$aside"
  scratch=$aside/scratch
  foreign "$@" "$commit" >"$scratch.aside"
  while IFS= read -r file; do
    case $file in */*) mkdir -p "$aside/\${file%/*}" ;; esac
    cp -Pp "$file" "$aside/$file"
    echo "$file was changed by hand: a copy is in $aside"
  done <"$scratch.aside"
  rm -f "$scratch".*
  # Whoever held it is long gone, as after a restart of the host: a git that lives needs it for moments.
  lock=$(git rev-parse --git-path index.lock)
  for _ in 1 2 3 4 5; do if [ -e "$lock" ]; then sleep 1; fi; done
  rm -f "$lock"
  git checkout -q --force --detach "$commit"
elif ! said=$(git checkout -q --no-overwrite-ignore --detach "$commit" 2>&1); then
  files=$(printf '%s\\n' "$said" | sed -n 's/^	/ /p' | tr -d '\\n')
  printf '%s\\n' "\${files:+changed by hand since it was staged:$files}\${files:-$said}" >&2
  exit 1
fi
if [ -n "$branch" ] && [ "$(git rev-parse -q --verify "refs/heads/$branch")" = "$commit" ]; then
  git symbolic-ref HEAD "refs/heads/$branch"
fi
`;

/** A name of our own keeps the commit $3 of release $2 in the repository of $1, so that no clean-up of git takes it. */
export const keepCommit = `${git}
cd "$1"
git update-ref "refs/lockkeeper/releases/$2" "$3"
`;

/** Prints the files that differ between the commits $2 and $3 in the repository of $1; nothing where one is gone. */
export const changedBetween = `${git}
cd "$1"
git diff --name-only --no-renames "$2" "$3" 2>/dev/null || true
`;

/** Gives up the names of releases $2… in the repository of $1. */
export const forgetCommits = `${git}
cd "$1"; shift
for id; do git update-ref -d "refs/lockkeeper/releases/$id" 2>/dev/null || true; done
`;
