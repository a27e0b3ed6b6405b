#!/bin/sh
# What a push to main asks of the release workflow: `propose` a version, because there are changes that no version has;
# `release` the version that the actions name; or `nothing`, because that one is out and its major tag points at it.
# Asks the remote, not what a run before this one may have said.
set -eu
cd "$(dirname "$0")/../.."
remote=${1:-origin}
for change in .changeset/*.md; do
  if [ -e "$change" ]; then echo propose; exit; fi
done
version=$(tools/release/version.sh)
tags=$(git ls-remote --refs --tags "$remote")
commit_of() { printf '%s\n' "$tags" | sed -n "s#^\([0-9a-f]*\)[[:space:]]refs/tags/$1\$#\1#p"; }
released=$(commit_of "v$version")
if [ -n "$released" ] && [ "$released" = "$(commit_of "v${version%%.*}")" ]; then echo nothing; else echo release; fi
