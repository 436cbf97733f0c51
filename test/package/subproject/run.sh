#!/usr/bin/env bash
# Configures a project that builds pgstate along with itself, and compiles one file of it.
# Usage: test/package/subproject/run.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

cmake -S "$here" -B "$scratch" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DPGSTATE_DIRECTORY="$here/../../.." \
    ${PGSTATE_PREFIX:+-DCMAKE_PREFIX_PATH="$PGSTATE_PREFIX"}
cmake --build "$scratch" --target parent
# Nothing of pgstate is installed with the project.
cmake --install "$scratch" --prefix "$scratch/prefix"
[ ! -e "$scratch/prefix" ] || { find "$scratch/prefix"; echo "pgstate is installed along with the project" >&2; exit 1; }
