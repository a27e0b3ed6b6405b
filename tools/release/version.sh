#!/bin/sh
# The one version of the five actions, as X.Y.Z: .changeset/config.json keeps them in step.
set -eu
cd "$(dirname "$0")/../.."
versions=$(sed -n 's/^  "version": "\(.*\)",$/\1/p' actions/*/package.json | sort -u)
case $versions in
  *[!0-9.]* | '' | *.*.*.*) ;;
  *.*.*) printf '%s\n' "$versions"; exit ;;
esac
echo "the package.json files below actions/ do not say one version X.Y.Z: $versions" | tr '\n' ' ' >&2
exit 1
