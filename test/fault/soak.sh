#!/usr/bin/env bash
# Builds pgstate_soak and runs it: clients on a private PostgreSQL that fails all the time, and a check of what is left.
# Usage: test/fault/soak.sh [--preset release|debug|asan-ubsan] [--minutes M] [--clients N] [--seed S] [--fault-every S] [--erases N] [--guard] [--rows]
#        [--foreign-writers N] [--impatient N] [--verbose]
#                                                                          e.g. test/fault/soak.sh --minutes 10
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

preset=release
arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --preset) preset=${2:?--preset needs a name}; shift 2 ;;
        -h | --help) sed -n '2,5s/^# //p' test/fault/soak.sh; exit 0 ;;
        *) arguments+=("$1"); shift ;;
    esac
done

docker/install-dependencies.sh
cmake --preset "$preset"
cmake --build --preset "$preset" --target pgstate_soak

# Little of what was freed is kept, so that memory that grows is pgstate's.
export ASAN_OPTIONS=detect_stack_use_after_return=1:halt_on_error=1:strict_string_checks=1:handle_sigill=1:quarantine_size_mb=16
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
exec "build/$preset/test/pgstate_soak" "${arguments[@]}"
