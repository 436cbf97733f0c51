#!/usr/bin/env bash
# Installs what the benchmarks need besides what pgstate itself needs: gnuplot, for the chart. The pgx peer brings its
# own compiler, which is not installed (peers/pgx/build.sh). Run it again at will: when nothing is missing it changes
# nothing.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

"$(dirname "${BASH_SOURCE[0]}")/../docker/install-dependencies.sh"

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; fi; }
apt() { as_root apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@"; }

# Any of gnuplot's packages will do.
if command -v gnuplot > /dev/null; then exit 0; fi
printf 'bench/install-dependencies: installing gnuplot\n'
apt update
apt install --no-install-recommends gnuplot-nox
