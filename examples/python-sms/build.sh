#!/bin/sh
# Turns src/app.py into the component build/python-sms.wasm.
#
# ONEROUTER_WIT: the contract with the host, the folder `wit` of OneRouter's repository. An adapter that
# lives elsewhere keeps a copy of it.
# COMPONENTIZE_PY: the compiler; installed into .venv when it is not set.
set -eu
cd "$(dirname "$0")"

wit=${ONEROUTER_WIT:-../../wit}
compiler=${COMPONENTIZE_PY:-.venv/bin/componentize-py}
if [ -z "${COMPONENTIZE_PY:-}" ] && ! cmp -s requirements.txt .venv/requirements.txt; then
  python3 -m venv --clear .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --no-deps --require-hashes --only-binary :all: -r requirements.txt
  cp requirements.txt .venv/
fi

mkdir -p build
# Without --stub-wasi the component would import files, sockets, clocks and random numbers, of which
# the host gives none.
"$compiler" --quiet --wit-path "$wit" --wit-path wit --world acme:python-sms/python-sms \
  componentize --stub-wasi --python-path src --output build/python-sms.wasm app
