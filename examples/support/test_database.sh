#!/usr/bin/env bash
# The option --database: each example works on the server that it names, and leaves the tables that are there as they are.
# Usage: test_database.sh DIRECTORY EXAMPLE...       DIRECTORY: where the programs are
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=$1
shift
scratch=$(mktemp -d)
"$programs/embedded_postgres" --url-file "$scratch/url" > "$scratch/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2> /dev/null; wait "$server"; rm -rf "$scratch"' EXIT
until [ -e "$scratch/url" ]; do
    kill -0 "$server" || { cat "$scratch/server.log" >&2; exit 1; }
    sleep 0.1
done
url=$(< "$scratch/url")

PATH=$PATH:$(printf '%s:' /usr/lib/postgresql/*/bin)
sql() { psql --no-psqlrc --quiet --tuples-only --no-align --set=ON_ERROR_STOP=1 --command "$1" "$url"; }
fail() { echo "$1" >&2; exit 1; }

# Those that a user may have, of another shape than the examples' own.
for table in accounts agent_states agents; do sql "CREATE TABLE $table (kept TEXT); INSERT INTO $table VALUES ('$table')"; done
for example in "$@"; do
    for run in first second; do # which finds the rows of the first
        "$programs/$example" --database "$url" > "$scratch/out" 2>&1 || { cat "$scratch/out" >&2; fail "$example failed, $run run"; }
    done
    table=pgstate_example_$example
    [ "$example" = quickstart ] && table=quickstart
    [ "$(sql "SELECT count(*) FROM $table")" -ge 0 ] || fail "$example did not use $table"
    "$programs/$example" --databse "$url" > "$scratch/out" 2>&1 && fail "$example took an unknown option"
    grep -q -e '--database URL' "$scratch/out" || fail "$example does not say what its option is"
done
"$here/../agent_runtime/kill_and_resume.sh" "$programs" 20 5 --agents 4 --sessions 2 --database "$url"
[ "$(sql "SELECT count(*) FROM pgstate_demo")" = 0 ] || fail "agent_runtime left sessions behind"
for table in accounts agent_states agents; do
    [ "$(sql "SELECT * FROM $table")" = "$table" ] || fail "$table is not what it was"
done
