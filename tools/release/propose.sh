#!/bin/sh
# Proposes the version that `pnpm changeset version` has written to the working copy: one commit on top of main, on a
# branch of its own that each newer proposal replaces, and one pull request. Needs gh, and its token in GH_TOKEN.
set -eu
cd "$(dirname "$0")/../.."
branch=release/next
remote=${RELEASE_REMOTE:-origin}
version=$(tools/release/version.sh)
subject="Release v$version"

git add --all
git -c user.name='github-actions[bot]' -c user.email='41898282+github-actions[bot]@users.noreply.github.com' \
  commit --quiet --message "$subject"
git push --quiet --force "$remote" "HEAD:refs/heads/$branch"

open=$(gh pr list --head "$branch" --state open --json number --jq '.[].number')
body=$(tools/release/notes.sh "$version")
if [ -z "$open" ]; then
  gh pr create --head "$branch" --base main --title "$subject" --body "$body"
else
  gh pr edit "$open" --title "$subject" --body "$body"
fi
# A push with the job's own token starts no workflow, a start by hand with it does.
gh workflow run ci.yml --ref "$branch"
