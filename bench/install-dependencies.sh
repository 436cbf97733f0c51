#!/usr/bin/env bash
# Installs what the benchmarks need besides what pgstate itself needs: gnuplot, for the chart, and wrk, which loads the
# example server. The pgx peer brings its own compiler, which is not installed (peers/pgx/build.sh). Run it again at will:
# when nothing is missing it changes nothing.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

"$(dirname "${BASH_SOURCE[0]}")/../docker/install-dependencies.sh"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; fi; }
apt() { as_root apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"; }

missing=()
command -v gnuplot > /dev/null || missing+=(gnuplot-nox) # any of gnuplot's packages will do
command -v wrk > /dev/null || missing+=(wrk)
if [ ${#missing[@]} = 0 ]; then exit 0; fi
printf 'bench/install-dependencies: installing %s\n' "${missing[*]}"
apt update
apt install --no-install-recommends "${missing[@]}"
