#!/usr/bin/env bash
# Builds the fuzz targets with clang and libFuzzer, installing what is missing first, and runs them one after the other.
# Usage: test/fuzz/run.sh [--minutes M] [--executions N] [TARGET...]     (10 minutes for each of all targets)
# A target's run ends after M minutes or N executions, whichever comes first.
# Inputs that reach new code are kept in build/fuzz/corpus; an input that breaks something, in build/fuzz/found.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

all=(connection_string codec parameters cursor)
minutes=10
executions=-1 # as many as there is time for
targets=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) minutes=${2:?--minutes needs a number}; shift ;;
        --executions) executions=${2:?--executions needs a number}; shift ;;
        -h | --help) sed -n '2,5s/^# //p' test/fuzz/run.sh; printf 'Targets: %s\n' "${all[*]}"; exit 0 ;;
        *) [[ " ${all[*]} " == *" $1 "* ]] || { printf 'no target %s; there are: %s\n' "$1" "${all[*]}" >&2; exit 2; }
           targets+=("$1") ;;
    esac
    shift
done
[ ${#targets[@]} -gt 0 ] || targets=("${all[@]}")
seconds=$(awk -v m="$minutes" 'BEGIN { s = int(m * 60); if (s < 1) exit 1; print s }') ||
    { printf -- '--minutes must be a positive number, not %s\n' "$minutes" >&2; exit 2; }
[[ $executions =~ ^(-1|[1-9][0-9]*)$ ]] ||
    { printf -- '--executions must be a positive number, not %s\n' "$executions" >&2; exit 2; }

docker/install-dependencies.sh
if ! command -v clang++ > /dev/null; then
    printf 'test/fuzz/run.sh: installing clang\n'
    as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo env DEBIAN_FRONTEND=noninteractive "$@"; fi; }
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get -qq -y -o DPkg::Lock::Timeout=300 update
    as_root apt-get -qq -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 install --no-install-recommends clang llvm
fi

cmake --preset fuzz > /dev/null
cmake --build --preset fuzz --target "${targets[@]/#/fuzz_}"

# Nobody looks at where memory came from until something is found, and each execution is short.
export ASAN_OPTIONS=malloc_context_size=3:quarantine_size_mb=16:detect_stack_use_after_return=0

status=0
for target in "${targets[@]}"; do
    corpus=build/fuzz/corpus/$target found=build/fuzz/found/$target log=build/fuzz/$target.log
    mkdir -p "$corpus" "$found"
    if "build/fuzz/test/fuzz/fuzz_$target" -max_total_time="$seconds" -runs="$executions" -max_len=4096 \
        -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" \
        "$corpus" "test/fuzz/corpus/$target" > "$log" 2>&1; then
        result=ok
    else
        result="FAILED, see $log and $found"
        status=1
    fi
    awk -v target="$target" -v result="$result" '
        /^stat::number_of_executed_units/ { runs = $2 }
        /^stat::average_exec_per_sec/ { speed = $2 }
        / cov: / { for (i = 1; i < NF; ++i) if ($i == "cov:") coverage = $(i + 1) }
        END { printf "%-18s %12d executions, %7d/s, %6d edges: %s\n", target, runs, speed, coverage, result }' "$log"
done
exit "$status"
