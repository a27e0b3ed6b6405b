#!/bin/sh
# move-major.sh X.Y.Z: moves the plain tag vX, which users follow, to vX.Y.Z. It only ever moves forward: to a commit
# that has the one it is at among its ancestors. Moving it again is no change. Never make a release of vX: where
# releases are immutable it could not move any more.
set -eu
version=$1
remote=${RELEASE_REMOTE:-origin}
tag=v$version
major=v${version%%.*}

at() { git ls-remote --refs --tags "$remote" "refs/tags/$1" | cut -f 1; }
target=$(at "$tag")
if [ -z "$target" ]; then
  echo "$remote has no tag $tag, so $major stays. Next: publish $tag first" >&2
  exit 1
fi
current=$(at "$major")
if [ "$current" = "$target" ]; then
  echo "$major is at $tag already"
  exit
fi
if [ -n "$current" ]; then
  git fetch --quiet --no-tags "$remote" "$current" "$target"
  if ! git merge-base --is-ancestor "$current" "$target"; then
    echo "$major is at $current, which is not an ancestor of $tag ($target): users would lose what they have." \
      "Next: release from a commit that holds it" >&2
    exit 1
  fi
else
  git fetch --quiet --no-tags "$remote" "$target"
fi
# Only if it still is where it was when this was decided; with nothing behind the colon, only if it still is nowhere.
git push --quiet --force-with-lease="refs/tags/$major:$current" "$remote" "$target:refs/tags/$major"
echo "$major moved to $tag ($target)"
