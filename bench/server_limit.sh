#!/usr/bin/env bash
# Measures what the server can do when no client of ours is in the way: pgbench, which only reads the answers, runs
# prepared statements of 64 rows like those that the store sends. Prints a line of JSON like pgstate_bench's; what
# pgbench does not measure is null. The table must be there and filled: pgstate_bench --fill-only.
# Usage: server_limit.sh [--op load|save] [--indexes standard|lean] [--table NAME] [--agents A] [--sessions B]
#                        [--state-bytes K] [--conns C] [--seconds S] [--warmup S] [--rows N] [--url URL]
set -euo pipefail
export LC_ALL=C

fail() { printf 'server_limit: %s\n' "$*" >&2; exit 1; }

op=load table='' indexes=standard agents=1000 sessions=100 state_bytes=600 conns=4 seconds=5 warmup=0 rows=64
url=${DATABASE_URL:-}
while [ $# != 0 ]; do
    case $1 in
        -h | --help) sed -n '2,6s/^# //p' "$0"; exit 0 ;;
        --op | --indexes | --table | --agents | --sessions | --state-bytes | --conns | --seconds | --warmup | --rows | \
            --url)
            [ $# -ge 2 ] || fail "$1 needs a value"
            name=${1#--}
            printf -v "${name//-/_}" '%s' "$2"
            shift 2
            ;;
        *) fail "unknown argument '$1'" ;;
    esac
done
case $indexes in
    standard) table=${table:-bench_states} ;;
    lean) table=${table:-bench_states_lean} ;;
    *) fail "unknown --indexes '$indexes'" ;;
esac
[[ $table =~ ^[a-z_][a-z0-9_]*$ ]] || fail "--table must be a plain name, not '$table'"
for number in "$agents" "$sessions" "$state_bytes" "$conns" "$seconds" "$warmup" "$rows"; do
    [[ $number =~ ^[0-9]+$ ]] || fail "'$number' must be a whole number"
done
[ -n "$url" ] || fail "no --url and no DATABASE_URL"

# Where Debian keeps them: beside the server's other programs, not in PATH.
newest=$(find /usr/lib/postgresql -mindepth 2 -maxdepth 2 -name bin 2> /dev/null | sort -V | tail -n 1)
pgbench=${PGSTATE_PG_BINDIR:-$newest}/pgbench
[ -x "$pgbench" ] || pgbench=$(command -v pgbench) || fail "pgbench is not installed"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The statement makes its keys by itself, at random. That stands in for reading two arrays of keys and takes a small
# part of the statement's time; made by pgbench, which shares the processors with the server, the keys would take more.
key="'agent-' || floor(random() * $agents)::int AS a, 'session-' || floor(random() * $sessions)::int AS s"
defines=()
case $op in
    load)
        # What a load needs is all there: the lookups, each document turned into text, and sending it.
        cat > "$scratch/script.sql" <<SQL
SELECT k.n, t.state, t.version, t.created_at, t.updated_at
FROM (SELECT n, $key FROM generate_series(1, $rows) AS n) AS k
JOIN $table AS t ON t.agent_id = k.a AND t.session_id = k.s;
SQL
        ;;
    save)
        # Distinct and sorted, as the store does it: no row twice, and no deadlock. Now and then a statement has a row
        # less for it, which is not taken into account. Each row's document is read from text of its own, as the
        # store's are; most of that text is sent once a statement only.
        cat > "$scratch/script.sql" <<SQL
INSERT INTO $table AS t (agent_id, session_id, state, created_at, updated_at, expires_at, write_name)
SELECT k.a, k.s, ('{"agent_id":"' || k.a || '","session_id":"' || k.s || '",' || :document)::jsonb,
    now(), now(), NULL::timestamptz, '5f0c3a52-0000-4000-8000-000000000001'::uuid
FROM (SELECT DISTINCT $key FROM generate_series(1, $rows)) AS k
ORDER BY k.a COLLATE "C", k.s COLLATE "C"
ON CONFLICT (agent_id, session_id) DO UPDATE SET state = EXCLUDED.state,
    created_at = CASE WHEN t.expires_at <= EXCLUDED.updated_at THEN EXCLUDED.created_at ELSE t.created_at END,
    updated_at = EXCLUDED.updated_at, version = DEFAULT, expires_at = EXCLUDED.expires_at,
    write_name = EXCLUDED.write_name, write_version = NULL
RETURNING pg_snapshot_xmin(pg_current_snapshot()), t.agent_id, t.session_id, t.version, t.created_at, t.updated_at;
SQL
        # The rest of a document that is in the table, so that what is saved is like what is there.
        document=$(psql -X -At -d "$url" \
            -c "SELECT substr((state - 'agent_id' - 'session_id')::text, 2) FROM $table LIMIT 1")
        [ -n "$document" ] || fail "there is no state in $table"
        defines=("--define=document=$document")
        ;;
    *) fail "unknown --op '$op'" ;;
esac

# One run for both, since a new connection is slow until it has seen the server's memory: the seconds of the warm-up are
# not counted. The last line may be missing, hence a second more than is asked for.
jobs=$((conns < 2 ? conns : 2))
"$pgbench" --no-vacuum --protocol=prepared --client="$conns" --jobs="$jobs" \
    --time="$((warmup + seconds + 1))" --progress=1 "${defines[@]}" --file="$scratch/script.sql" "$url" \
    > "$scratch/summary" 2> "$scratch/progress" || { cat "$scratch/progress" >&2; fail "pgbench failed"; }

awk -v op="$op" -v indexes="$indexes" -v conns="$conns" -v bytes="$state_bytes" -v seconds="$seconds" -v rows="$rows" \
    -v warmup="$warmup" -v jobs="$jobs" '
    $1 == "progress:" && ++line > warmup && line <= warmup + seconds {
        statements += $4
        failed += $(NF - 1)
        ++measured
    }
    END {
        if (measured != seconds) exit 1
        printf "{\"op\":\"%s\",\"mode\":\"server-limit\",\"callers\":%d,\"threads\":%d,", op, conns, jobs
        printf "\"conns\":%d,\"indexes\":\"%s\",", conns, indexes
        printf "\"state_bytes\":%d,\"seconds\":%d,\"operations\":%.0f,\"errors\":%d,\"ops_per_s\":%.0f,",
            bytes, seconds, statements * rows, failed * rows, statements * rows / seconds
        printf "\"p50_ms\":null,\"p90_ms\":null,\"p99_ms\":null,\"p999_ms\":null,\"max_ms\":null,"
        printf "\"statements\":%.0f,\"mean_batch\":%d,\"rss_mb\":null}\n", statements, rows
    }' "$scratch/progress" || { cat "$scratch/progress" >&2; fail "pgbench said nothing that is known here"; }
