#!/bin/sh
# Turns src/app.js into the component build/js-sms.wasm. See build.js for ONEROUTER_WIT.
set -eu
cd "$(dirname "$0")"

if [ ! -d node_modules ]; then
  # Scripts of packages are not run: what compiles comes with the packages.
  npm ci --ignore-scripts --no-audit --no-fund
fi
npm run --silent build
