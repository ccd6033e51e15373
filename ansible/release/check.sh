#!/bin/sh
# Makes the release twice, in other folders, and compares each file, octet by octet.
# Usage: check.sh PYTHON, the one of the project's environment.
set -eu

cd "$(dirname "$0")/.."
# One time for both, should somebody commit meanwhile.
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for number in 1 2; do
  TMPDIR=$(mktemp -d "$scratch/XXXXXX") "$1" -m release --rehearsal "$scratch/$number"
done
diff --recursive --brief "$scratch/1" "$scratch/2"
echo "both releases are the same"
