#!/usr/bin/env bash
# Installs what is missing, builds the examples and runs agent_runtime: 64 agents in 256 sessions keep their state in
# PostgreSQL, are killed with SIGKILL in the middle, and go on where they were.
# Usage: examples/run.sh [agent_runtime option...]
# Uses a private PostgreSQL in a temporary directory; with --database URL that one, and there the table pgstate_demo.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case ${1:-} in
    -h | --help) sed -n '2,5s/^# //p' examples/run.sh; exit 0 ;;
esac

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

step "dependencies" docker/install-dependencies.sh
step "configuring" cmake --preset release
step "building (some minutes the first time)" \
    cmake --build --preset release --target agent_runtime embedded_postgres quickstart
examples/agent_runtime/kill_and_resume.sh build/release/examples 600 300 "$@"
