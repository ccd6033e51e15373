#!/bin/sh
# Puts the libraries of package-lock.json into ../static/vendor: one ES module each, minified, with
# licences and checksums. Needs npm; nobody else does, for what it makes is kept in the repository.
set -eu
cd "$(dirname "$0")"
npm ci --no-audit --no-fund --silent
out=../static/vendor
rm -rf "$out"
mkdir -p "$out"
bundle() { # NAME MODULE EXTERNALS...
    name=$1 module=$2
    shift 2
    for external in "$@"; do set -- "$@" "--external:$external"; shift; done
    npx esbuild "$module" --bundle --minify --format=esm --legal-comments=none \
        --log-level=error "--outfile=$out/$name.js" "$@"
}
bundle preact node_modules/preact/dist/preact.mjs
bundle hooks node_modules/preact/hooks/dist/hooks.mjs preact
bundle htm node_modules/htm/dist/htm.module.js
bundle uplot node_modules/uplot/dist/uPlot.esm.js
bundle d3-sankey node_modules/d3-sankey/src/index.js
node -e '
const fs = require("fs"), names = process.argv.slice(1)
const rows = names.map((name) => {
  const folder = `node_modules/${name}/`
  const { version, license } = JSON.parse(fs.readFileSync(folder + "package.json"))
  const file = fs.readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry))
  return `${name} ${version} (${license})\n\n${fs.readFileSync(folder + file, "utf8").trim()}\n`
})
fs.writeFileSync("../static/vendor/LICENSES.txt", rows.join(`\n${"-".repeat(72)}\n\n`))
' preact htm uplot d3-sankey d3-array d3-shape d3-path internmap
(cd "$out" && sha256sum -- *.js LICENSES.txt >SHA256SUMS)
rm -rf node_modules
