#!/usr/bin/env bash
# Installs a finished build into a fresh prefix, then builds and runs a project that knows nothing but that prefix.
# Usage: test/package/run.sh BUILD_DIR
set -euo pipefail
build=$(cd "${1:?usage: test/package/run.sh BUILD_DIR}" && pwd)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake --install "$build" --prefix "$scratch/prefix" > /dev/null
cmake -S "$here" -B "$scratch/build" -G Ninja -DCMAKE_BUILD_TYPE=Debug \
    -DCMAKE_PREFIX_PATH="$scratch/prefix${PGSTATE_PREFIX:+;$PGSTATE_PREFIX}"
cmake --build "$scratch/build"
"$scratch/build/consumer"
