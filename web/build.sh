#!/usr/bin/env bash
# Builds the app into fhir_server/static/ where web/ changed since; called by `make setup`.
set -euo pipefail
cd "$(dirname "$0")"

stamp=../build/site-made-from
digest=$(find . -path ./node_modules -prune -o -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum)
if [ "$digest" = "$(cat "$stamp" 2>/dev/null || true)" ] && [ -f ../fhir_server/static/index.html ]; then exit 0; fi

new_enough='const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'
if ! command -v npm >/dev/null || ! node -e "$new_enough"; then
    echo "Node.js 20.19 or newer with npm is missing: the server runs without its app in the browser." >&2
    exit 0
fi

mkdir -p ../build
installed=node_modules/.made-from
packages=$(cat package.json package-lock.json .npmrc | sha256sum)
if [ "$packages" != "$(cat "$installed" 2>/dev/null || true)" ]; then
    # Not `npm ci`: that fails where a registry lacks an optional package of another platform, which nobody here needs.
    if ! npm install --no-save --loglevel=error --no-audit --no-fund; then
        echo "npm could not install what the app is built with: the server runs without its app in the browser." >&2
        exit 0
    fi
    echo "$packages" > "$installed"
fi
npm run --silent build
# A server that starts meanwhile finds the old files or the new ones, never half of them.
rm -rf ../build/site-before
if [ -d ../fhir_server/static ]; then mv ../fhir_server/static ../build/site-before; fi
mv ../build/site ../fhir_server/static
rm -rf ../build/site-before
echo "$digest" > "$stamp"
