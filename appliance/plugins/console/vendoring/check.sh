#!/bin/sh
# Checks the types that JSDoc gives in ../static. Needs npm.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund --silent
npx tsc -p tsconfig.json
rm -rf node_modules
