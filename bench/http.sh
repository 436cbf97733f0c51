#!/usr/bin/env bash
# Loads examples/session_server with wrk: PUT, then GET, of states of 600 bytes over kept connections, on a private
# PostgreSQL that syncs each commit to the disk. Prints a table. wrk, the server and PostgreSQL share the machine.
# Usage: bench/http.sh [--seconds S] [--connections C] [--threads T]
#        S: of each run, after a warm-up of 2 s; default 10. C: default 64. T: the server's threads; default 2
# TMPDIR: where PostgreSQL's data go, default /var/tmp. Ends with 1 if a request was not answered 2xx.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() { printf 'http: %s\n' "$*" >&2; exit 1; }

seconds=10 connections=64 threads=2
while [ $# != 0 ]; do
    case $1 in
        -h | --help) sed -n '2,6s/^# //p' bench/http.sh; exit 0 ;;
        --seconds | --connections | --threads)
            [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || fail "$1 needs a number"
            declare "${1#--}=$2"
            shift 2
            ;;
        *) fail "unknown argument '$1'" ;;
    esac
done
server=build/release/examples/session_server/session_server
[ -x $server ] || fail "build it first: cmake --preset release && cmake --build --preset release --target session_server"
command -v wrk > /dev/null || fail "wrk is not installed; bench/install-dependencies.sh does it"

scratch=$(mktemp -d "${TMPDIR:-/var/tmp}/pgstate-http.XXXXXX")
chmod 755 "$scratch" # PostgreSQL runs as another user when this is root
pid=''
cleanup() {
    if [ -n "$pid" ]; then kill "$pid" 2> /dev/null && wait "$pid" || true; fi
    rm -rf "$scratch"
}
trap cleanup EXIT

# Each of wrk's threads takes the keys one after the other, from a place of its own; the first round makes the sessions.
cat > "$scratch/load.lua" <<'LUA'
local keys, threads = 5000, 0
local content = '{"data": {"text": "' .. string.rep("x", 580) .. '"}}'

function setup(thread)
    thread:set("next_key", threads * keys / 2)
    threads = threads + 1
end

function init(arguments)
    method = arguments[1]
end

function request()
    next_key = (next_key + 1) % keys
    local path = "/agents/agent-" .. math.floor(next_key / 10) .. "/sessions/session-" .. next_key % 10
    if method == "GET" then return wrk.format("GET", path) end
    return wrk.format("PUT", path, {["Content-Type"] = "application/json"}, content)
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format("row %d %.2f %.2f %.2f %d\n", summary.requests / (summary.duration / 1e6),
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
LUA

$server --embedded --embedded-data "$scratch/data" --listen 127.0.0.1:0 --port-file "$scratch/port" --threads "$threads" \
    --log-level error &
pid=$!
until [ -e "$scratch/port" ]; do
    kill -0 "$pid" 2> /dev/null || fail "the server did not start"
    sleep 0.1
done
url=http://127.0.0.1:$(cat "$scratch/port")

run() { wrk --threads 2 --connections "$connections" --duration "$2s" --script "$scratch/load.lua" "$url" "$1" | sed -n 's/^row //p'; }

printf '%s connections, %s threads of the server, %s s\n\n' "$connections" "$threads" "$seconds"
printf '| | requests per second | p50, ms | p99, ms | slowest, ms | not 2xx |\n|---|---:|---:|---:|---:|---:|\n'
status=0
for method in PUT GET; do
    run $method 2 > /dev/null
    read -r rate p50 p99 slowest failures < <(run $method "$seconds")
    printf '| %s | %s | %s | %s | %s | %s |\n' "$method" "$rate" "$p50" "$p99" "$slowest" "$failures"
    [ "$failures" = 0 ] || status=1
done
exit $status
