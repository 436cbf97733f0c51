#!/usr/bin/env bash
# Measures pgstate, its peer pgx and the server's own limit beside each other on a private PostgreSQL, and writes what
# was seen into a directory: runs.json, summary.json, results.md and throughput.svg. See bench/README.md.
# Usage: bench/run.sh [--quick | --full [--ten-million] | --long] [--out DIR]
#        --quick: about 2 minutes after the build; default: less than 10; --full: about 45, with the long curves
#        --ten-million: also a table of 10,000,000 rows (10 GB)
#        --long: sessions with long histories, in documents and in rows, and nothing else; about 4 minutes
#        DIR: default bench/results, and bench/results/long with --long
# PGSTATE_BENCH_THREADS: threads of pgstate's callers, default 1. PGSTATE_BENCH_ROUNDS, PGSTATE_BENCH_SECONDS,
# PGSTATE_BENCH_WARMUP: in place of the preset's, say 1, 2 and 2 for a --full of 15 minutes. TMPDIR: where the server's data go, default /var/tmp.
# Ends with 0 when everything could be measured, whatever the numbers are.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf 'bench: %s\n' "$*" >&2; exit 1; }

preset=default ten_million=no out=
while [ $# != 0 ]; do
    case $1 in
        -h | --help) sed -n '2,11s/^# //p' bench/run.sh; exit 0 ;;
        --quick | --full | --long) preset=${1#--}; shift ;;
        --ten-million) ten_million=yes; shift ;;
        --out) out=${2:?--out needs a directory}; shift 2 ;;
        *) fail "unknown argument '$1'" ;;
    esac
done
[ $ten_million = no ] || [ "$preset" = full ] || fail "--ten-million goes with --full"
[ -n "$out" ] || { out=bench/results; [ "$preset" != long ] || out=bench/results/long; }
# A new connection is slow until it has seen the server's memory, hence the long warm-up.
case $preset in
    quick) rounds=1 side_rounds=1 seconds=1 warmup=1 ;;
    default) rounds=3 side_rounds=1 seconds=2 warmup=2 ;;
    full) rounds=3 side_rounds=3 seconds=5 warmup=3 ;;
    long) rounds=3 side_rounds=1 seconds=3 warmup=2 ;;
esac
rounds=${PGSTATE_BENCH_ROUNDS:-$rounds} side_rounds=${PGSTATE_BENCH_ROUNDS:-$side_rounds}
seconds=${PGSTATE_BENCH_SECONDS:-$seconds} warmup=${PGSTATE_BENCH_WARMUP:-$warmup}
threads=${PGSTATE_BENCH_THREADS:-1}
conns=4
build=build/release
peer=build/bench/pgx

# step TITLE COMMAND...: runs the command; what it has to say is shown only if it fails.
step() {
    local title=$1 start=$SECONDS log
    shift
    log=$(mktemp)
    printf '%s ... ' "$title"
    if ! "$@" > "$log" 2>&1; then
        printf 'failed\n'
        cat "$log"
        rm -f "$log"
        exit 1
    fi
    rm -f "$log"
    printf '%d s\n' $((SECONDS - start))
}

step "dependencies" bench/install-dependencies.sh
step "configuring" cmake --preset release
step "building (some minutes the first time)" \
    cmake --build --preset release --target pgstate_bench embedded_postgres
step "building the pgx peer" bench/peers/pgx/build.sh "$peer"
build_end=$SECONDS
python=$(python3 -c 'import sys; print(sys.executable)') # itself, not what may stand before it in PATH

# ---- the server

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/pgstate-bench-XXXXXX")
chmod 711 "$scratch" # the server may run as another user
server=
cleanup() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2> /dev/null || true
        wait "$server" 2> /dev/null || true
    fi
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

filesystem=$(stat --file-system --format=%T "$scratch")
[ "$filesystem" != tmpfs ] ||
    fail "'$scratch' is in memory, where a save costs nothing: set TMPDIR to a directory on a disk"

start_server() {
    "$build/examples/embedded_postgres" --data "$scratch/data" --url-file "$scratch/url" > "$scratch/server.log" 2>&1 &
    server=$!
    until [ -e "$scratch/url" ]; do
        kill -0 "$server" 2> /dev/null || { cat "$scratch/server.log" >&2; fail "the server did not start"; }
        sleep 0.1
    done
    DATABASE_URL=$(< "$scratch/url")
    export DATABASE_URL
}

sql() { psql -X -q -At -v ON_ERROR_STOP=1 -d "$DATABASE_URL" "$@"; }

printf 'starting a private PostgreSQL in %s (%s)\n' "$scratch" "$filesystem"
start_server
# So that no checkpoint begins in the middle of a run: there is one before each.
sql -c "ALTER SYSTEM SET max_wal_size = '4GB'"
sql -c "SELECT pg_reload_conf()" > "$scratch/ignored"
fsync=$(sql -c "SHOW fsync")
synchronous_commit=$(sql -c "SHOW synchronous_commit")
[ "$fsync:$synchronous_commit" = on:on ] ||
    fail "fsync is $fsync and synchronous_commit is $synchronous_commit: saves would not be durable"
printf 'fsync is on, synchronous_commit is on\n'
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
"$python" bench/report.py machine \
    --set preset="$preset" \
    --set rounds="$rounds" --set seconds="$seconds" --set warmup="$warmup" \
    --set conns="$conns" --set threads="$threads" \
    --set postgresql="$(sql -c 'SHOW server_version')" \
    --set fsync="$fsync" --set synchronous_commit="$synchronous_commit" --set filesystem="$filesystem" \
    --set shared_buffers="$(sql -c 'SHOW shared_buffers')" --set max_wal_size="$(sql -c 'SHOW max_wal_size')" \
    --set compiler="$("$compiler" --version | head -n 1)" \
    --set pgx="$(sed -n 's/^pgx //p' "$peer/versions")" --set go="$(sed -n 's/^go //p' "$peer/versions")" \
    --set commit="$(git describe --always --dirty 2> /dev/null || echo unknown)" > "$scratch/machine.json"

# ---- runs

failures=0

# use_table NAME AGENTS SESSIONS STATE_BYTES: what the next runs work on. With lean indexes it is NAME_lean.
use_table() { table=$1 agents=$2 sessions=$3 state_bytes=$4; }

# run EXPERIMENT ROUND OP CALLERS PROGRAM: one run, whose line goes to runs.jsonl.
run() {
    local experiment=$1 round=$2 op=$3 callers=$4 program=$5 indexes=standard name=$table command status=0 shown
    case $program in *-lean) indexes=lean name=${table}_lean ;; esac
    local common=(--op "$op" --indexes "$indexes" --table "$name" --agents "$agents" --sessions "$sessions"
                  --state-bytes "$state_bytes" --conns "$conns" --seconds "$run_seconds" --warmup "$run_warmup")
    case $program in
        pgstate | pgstate-lean) command=("$build/bench/pgstate_bench" --mode batched) ;;
        single) command=("$build/bench/pgstate_bench" --mode single) ;;
        pqxx) command=("$build/bench/pgstate_bench" --mode pqxx-threads) ;;
        pgx) command=("$peer/pgxpeer" --callers "$callers" --seed "$round") ;;
        limit | limit-lean) command=(bench/server_limit.sh) callers=$conns ;;
    esac
    case ${command[0]} in
        */pgstate_bench)
            command+=(--format json --threads "$threads" --callers "$callers" --seed "$round")
            ;;
        *) # fills the table if need be, VACUUM ANALYZE, CHECKPOINT: what pgstate_bench does by itself before it runs
            "$build/bench/pgstate_bench" --fill-only "${common[@]}" 2> "$scratch/errors" ||
                { cat "$scratch/errors" >&2; fail "preparing $name failed"; }
            ;;
    esac
    timeout --foreground $((run_seconds + run_warmup + 600)) "${command[@]}" "${common[@]}" \
        > "$scratch/line" 2> "$scratch/errors" || status=$?
    shown=$("$python" bench/report.py note \
        --log "$scratch/runs.jsonl" --line "$scratch/line" --errors "$scratch/errors" \
        --set experiment="$experiment" --set round="$round" --set program="$program" --set op="$op" \
        --set callers="$callers" --set indexes="$indexes" --set agents="$agents" --set sessions="$sessions" \
        --set state_bytes="$state_bytes" --set warmup="$run_warmup" --set status="$status") ||
        failures=$((failures + 1))
    run_number=$((run_number + 1))
    printf '%4d/%d  %s\n' "$run_number" "$run_count" "$shown"
}

# run_groups EXPERIMENT ROUNDS: reads lines "OP CALLERS PROGRAM...". In each round every line's programs run one after
# the other; every second round backwards, so that being the first is nobody's advantage.
run_groups() {
    local experiment=$1 rounds=$2 round group op callers programs i
    mapfile -t groups
    run_number=0
    run_count=$(($(printf '%s\n' "${groups[@]}" | awk '{ n += NF - 2 } END { print n }') * rounds))
    for ((round = 1; round <= rounds; ++round)); do
        for group in "${groups[@]}"; do
            read -r op callers programs <<< "$group"
            read -ra programs <<< "$programs"
            for ((i = 0; i < ${#programs[@]}; ++i)); do
                run "$experiment" "$round" "$op" "$callers" \
                    "${programs[round % 2 == 1 ? i : ${#programs[@]} - 1 - i]}"
            done
        done
    done
}

# ---- long sessions

# long ROUND PART [OPTION...]: what pgstate_bench says of it goes to runs.jsonl.
long() {
    local round=$1 part=$2
    shift 2
    "$build/bench/pgstate_bench" --long "$part" --conns "$conns" --seed "$round" "$@" > "$scratch/line" ||
        fail "'--long $part' failed"
    "$python" bench/report_long.py note --log "$scratch/runs.jsonl" --lines "$scratch/line" --round "$round" \
        --program pgstate
}

# long_callers ROUND PROGRAM: 256 callers, each with a session of its own.
long_callers() {
    local round=$1 program=$2
    if [ "$program" = pgx ]; then
        long "$round" callers-prepare --callers 256
        "$peer/pgxpeer" --op append --table bench_long_rows --callers 256 --conns "$conns" --seconds "$seconds" \
            --warmup "$warmup" > "$scratch/line" || fail "pgx failed"
        "$python" bench/report_long.py note --log "$scratch/runs.jsonl" --lines "$scratch/line" --round "$round" \
            --program pgx
    else
        long "$round" "callers-$program" --callers 256 --seconds "$seconds" --warmup "$warmup"
    fi
}

if [ "$preset" = long ]; then
    : > "$scratch/runs.jsonl"
    for ((round = 1; round <= side_rounds; ++round)); do
        printf '\none caller, by turns in documents and in rows\n'
        for part in append load save build checkpoint; do
            long "$round" "$part"
        done
    done
    programs=(document rows ids pgx)
    for ((round = 1; round <= rounds; ++round)); do
        printf '\n256 callers, round %d\n' "$round"
        for ((i = 0; i < ${#programs[@]}; ++i)); do
            long_callers "$round" "${programs[round % 2 == 1 ? i : ${#programs[@]} - 1 - i]}"
        done
    done
    printf '\n'
    "$python" bench/report_long.py write --log "$scratch/runs.jsonl" --machine "$scratch/machine.json" --out "$out"
    printf '\nwritten: %s/{runs.json,summary.json,results.md,long_sessions.svg}; %d s after the build\n' \
        "$out" $((SECONDS - build_end))
    exit 0
fi

# ---- the comparison

: > "$scratch/runs.jsonl"
run_seconds=$seconds run_warmup=$warmup

printf '\nthe main comparison: 100,000 states of about 600 bytes\n'
use_table bench_states 1000 100 600
run_groups main "$rounds" << 'END'
load 64    pgx pgstate
load 256   pgx pgstate
load 1000  pgx pgstate limit
load 10000 pgstate
list 64    pgx pgstate
save 64    pgx pgstate
save 256   pgstate-lean pgx pgstate
save 1000  pgstate limit limit-lean
END
# Here the server takes most of the time on both sides and the difference is small; and of two runs of saves the second
# is slower, whoever has it. So each is first as often as second.
run_groups main $((2 * ((rounds + 2) / 2))) << 'END'
load 1     pgx pgstate
save 1     pgx pgstate
END
# No target needs these: they show in the chart where the gain comes from.
run_groups main "$side_rounds" << 'END'
load 64    pqxx single
load 256   pqxx single
save 64    pqxx single
save 256   pqxx single
END

if [ "$preset" = full ]; then
    printf '\nthe number of callers\n'
    run_groups callers "$rounds" << 'END'
load 1      pgx pgstate
load 10     pgx pgstate
load 100    pgx pgstate
load 1000   pgx pgstate
load 10000  pgx pgstate
save 1      pgx pgstate
save 10     pgx pgstate
save 100    pgx pgstate
save 1000   pgx pgstate
save 10000  pgx pgstate
END
    # An operation of so many callers takes seconds.
    run_seconds=15 run_warmup=8
    run_groups callers 1 << 'END'
load 100000 pgx pgstate
save 100000 pgx pgstate
END
    run_seconds=$seconds run_warmup=$warmup

    for size in "1000 100 400" "1000 100 2000" "100 100 20000" "100 10 200000" "10 10 2000000"; do
        read -r size_agents size_sessions bytes <<< "$size"
        printf '\nstates of %d bytes, %d of them\n' "$bytes" $((size_agents * size_sessions))
        use_table bench_size "$size_agents" "$size_sessions" "$bytes"
        run_groups state-size "$rounds" << 'END'
load 64 pgx pgstate
save 64 pgx pgstate
END
        sql -c "DROP TABLE bench_size"
    done

    table_sizes=(100 10000)
    [ $ten_million = no ] || table_sizes+=(100000)
    for size_agents in "${table_sizes[@]}"; do
        printf '\na table of %d states\n' $((size_agents * 100))
        use_table bench_rows "$size_agents" 100 600
        run_groups table-size "$rounds" << 'END'
load 256 pgx pgstate
save 256 pgx pgstate
END
        sql -c "DROP TABLE bench_rows"
    done
fi

# ---- the report

printf '\n'
"$python" bench/report.py write --log "$scratch/runs.jsonl" --machine "$scratch/machine.json" --out "$out"
printf '\nwritten: %s/{runs.json,summary.json,results.md,throughput.svg}; %d s after the build\n' \
    "$out" $((SECONDS - build_end))
[ $failures = 0 ] || fail "$failures runs failed"
