#!/usr/bin/env bash
# Kills agent_runtime in the middle of its work, starts it again, and shows that no turn was lost or repeated.
# Usage: kill_and_resume.sh DIRECTORY KILL_AFTER PACE [agent_runtime option...]
#        DIRECTORY: where the programs are; KILL_AFTER: acknowledged turns; PACE: of the second run, see agent_runtime
# Uses a private PostgreSQL that is gone afterwards. With --database URL it works on that server, in the table pgstate_demo,
# whose sessions it erases in the end.
set -euo pipefail

programs=${1:?where are the programs?}
kill_after=${2:?after how many turns to kill?}
pace=${3:?which pace?}
shift 3

scratch=$(mktemp -d)
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

agents=("$programs/agent_runtime" --table pgstate_demo --ack-file "$scratch/acks" "$@")

case " $* " in *" --database"*) ;; *)
    echo "starting a private PostgreSQL"
    "$programs/embedded_postgres" --url-file "$scratch/url" > "$scratch/server.log" 2>&1 &
    server=$!
    until [ -e "$scratch/url" ]; do
        kill -0 "$server" 2> /dev/null || { cat "$scratch/server.log" >&2; exit 1; }
        sleep 0.1
    done
    agents+=(--database "$(< "$scratch/url")")
    ;;
esac

# At full speed, so that the kill meets saves on their way.
echo "first run, to be killed after $kill_after acknowledged turns"
status=0
"${agents[@]}" --reset --kill-after "$kill_after" || status=$?
if [ "$status" != 137 ]; then
    echo "expected the process to be killed (137), but it ended with $status" >&2
    exit 1
fi

echo "second run, to the end"
"${agents[@]}" --pace "$pace" | tee "$scratch/report" # with pipefail: the verdict's exit code
if grep -q '^verdict: resumed 0 sessions' "$scratch/report"; then
    echo "the kill came too early or too late: there was nothing to resume" >&2
    exit 1
fi

if [ -z "$server" ]; then "${agents[@]}" --clean; fi
