#!/bin/sh
# Builds the package twice, in other folders, and compares; then lets lintian judge it.
# Usage: check.sh PYTHON, the one of the project's environment.
set -eu

cd "$(dirname "$0")/.."
# One time for both, should somebody commit meanwhile.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for number in 1 2; do
  TMPDIR=$(mktemp -d "$scratch/XXXXXX") "$1" -m debian "$scratch/$number"
done
cd "$scratch"
sha256sum [12]/*.deb
cmp 1/*.deb 2/*.deb
echo "both builds are the same"
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error,warning --tag-display-limit 0 1/*.deb
  echo "lintian has nothing to say"
else
  echo "lintian is not installed: apt-get install lintian"
fi
