#!/usr/bin/env bash
# Builds pgstate and runs its tests, installing what is missing first.
# Usage: test/run.sh [--preset release|debug|asan-ubsan|tsan|clang] [ctest option...]     e.g. test/run.sh -L unit
# TMPDIR: where the private servers' files go; by default into memory, where there is plenty, else to /tmp
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

preset=release
case ${1:-} in
    --preset) preset=${2:?--preset needs a name}; shift 2 ;;
    -h | --help) sed -n '2,4s/^# //p' test/run.sh; exit 0 ;;
esac

docker/install-dependencies.sh
cmake --preset "$preset"
cmake --build --preset "$preset"

# The tests make hundreds of databases, which disks take several times as long to make and to delete as memory. They need
# 2.8 GB; compilers at work beside them may need as much again.
memory=/dev/shm
room_in_memory() {
    local gibibyte=$((1024 * 1024)) free available # KiB
    free=$(df -k --output=avail "$memory" 2> /dev/null | tail -n 1)
    available=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2> /dev/null)
    [ "${free:-0}" -ge $((4 * gibibyte)) ] && [ "${available:-0}" -ge $((10 * gibibyte)) ] &&
        ! findmnt -no OPTIONS "$memory" | grep -qw noexec
}
if [ -z "${TMPDIR:-}" ] && room_in_memory && TMPDIR=$(mktemp -d "$memory/pgstate-test-XXXXXX"); then
    chmod 1777 "$TMPDIR" # the servers may run as another user
    export TMPDIR
    trap 'rm -rf "$TMPDIR"' EXIT
fi

status=0
ctest --preset "$preset" "$@" || status=$?

# The suites run many cases in one ctest test each: count those too.
log=build/$preset/Testing/Temporary/LastTest.log
if [ -r "$log" ]; then
    awk -v status="$status" '
        /^All tests passed \(/ { passed += $(NF - 2); next }
        /^test cases: / {
            for (i = 3; i <= NF; ++i) {
                if ($i == "passed") passed += $(i - 1)
                if ($i == "failed") failed += $(i - 1)
                if ($i == "skipped") skipped += $(i - 1)
            }
        }
        END {
            if (status && !failed) failed = 1 # a crash leaves no summary behind
            printf "%d passed, %d failed%s\n", passed, failed, skipped ? ", " skipped " skipped" : ""
        }' "$log"
fi
exit "$status"
