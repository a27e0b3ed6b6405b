#!/bin/sh
# notes.sh X.Y.Z: what that version changed, action by action, from their CHANGELOG.md.
set -eu
cd "$(dirname "$0")/../.."
for log in actions/*/CHANGELOG.md; do
  [ -e "$log" ] || continue
  awk -v version="$1" -v action="$(basename "$(dirname "$log")")" '
    /^## / { inside = ($2 == version); next }
    inside { text = text $0 "\n" }
    END {
      gsub(/^\n+|\n+$/, "", text)
      if (text != "" && text != "No changes in this release.") printf "## %s\n\n%s\n\n", action, text
    }' "$log"
done
cat <<END
Pin the commit, or this tag, which nobody can move. Who built the bundles:

    gh attestation verify actions/compose-deploy/dist/index.js --repo lockkeeper/lockkeeper
END
