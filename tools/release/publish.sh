#!/bin/sh
# publish.sh X.Y.Z COMMIT FILE...: a draft with the files, then published, which makes the tag vX.Y.Z and, where the
# repository has immutable releases, locks it. Each step first asks what is there: a run that died goes on here, and a
# version that is out is left as it is. Needs gh, and its token in GH_TOKEN.
set -eu
version=$1
commit=$2
shift 2
here=$(dirname "$0")
tag=v$version
remote=${RELEASE_REMOTE:-origin}

at() { git ls-remote --refs --tags "$remote" "refs/tags/$1" | cut -f 1; }
# `gh release view` fails alike when there is no release and when nobody answers; the list tells the two apart.
state=$(gh release list --limit 1000 --json tagName,isDraft \
  --jq ".[] | select(.tagName == \"$tag\") | if .isDraft then \"draft\" else \"published\" end")
tagged=$(at "$tag")
if [ "$state" = published ]; then
  # Perhaps from an earlier commit, by a run that died before it moved the major tag.
  echo "$tag is out already, at $tagged"
  exit
fi
if [ -n "$tagged" ] && [ "$tagged" != "$commit" ]; then
  echo "there is a tag $tag without a release, at $tagged, not at $commit." \
    "Next: find out who made it, then git push --delete $remote $tag" >&2
  exit 1
fi
case $state in
  '')
    notes=$("$here/notes.sh" "$version")
    gh release create "$tag" --draft --target "$commit" --title "$tag" --notes "$notes"
    ;;
  draft)
    # Of a run that died, perhaps for another commit.
    gh release edit "$tag" --draft --target "$commit"
    ;;
  *) echo "there are several releases of $tag. Next: delete the drafts that are not wanted" >&2; exit 1 ;;
esac
gh release upload "$tag" --clobber "$@"
gh release edit "$tag" --draft=false

tagged=$(at "$tag")
if [ "$tagged" != "$commit" ]; then
  echo "$tag was published, and yet it is at ${tagged:-no commit}, not at $commit. Next: look at it before anyone uses it" >&2
  exit 1
fi
echo "$tag is out, at $commit"
