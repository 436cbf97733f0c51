#!/usr/bin/env python3
"""Short runs of pgstate_bench on private servers, and what it must say about them.

Usage: smoke_test.py smoke|arguments PROGRAM
"""
import json
import subprocess
import sys

KEYS = {
    "op", "mode", "token", "callers", "threads", "conns", "indexes", "state_bytes", "seconds", "operations", "errors",
    "ops_per_s", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "statements", "mean_batch", "rss_mb", "telemetry",
    "telemetry_ratio", "durable",
    "server",
}
SMALL = "--seconds 0.3 --warmup 0.1 --agents 20 --sessions 10 --callers 64 --conns 2 --format json".split()
RUNS = [f"--op {op} --mode {mode}" for op in ("load", "save") for mode in ("batched", "single", "pqxx-threads")] + [
    "--op mixed --token callback --threads 2",
    "--op append --token deferred --indexes lean --state-bytes 4000",
    "--op append --token callback --mode single",
    "--op rewrite --token deferred --state-bytes 4000",
]
LONG = {"callers-document": "document", "callers-rows": "rows", "callers-ids": "rows"}
REFUSED = {
    "--callers 0": "--callers must be from 1 to ",
    "--callers many": "--callers must be from 1 to ",
    "--mode foo": "--mode must be batched, single or pqxx-threads, not 'foo'",
    "--op foo": "--op must be load, save, list, erase, append, rewrite or mixed, not 'foo'",
    "--op append --mode pqxx-threads": "--op append is of the store",
    "--seconds 0": "--seconds must be more than 0",
    "--max-in-flight 17": "--max-in-flight must be from 1 to 16",
    "--agents 10000000 --sessions 10": "--agents times --sessions",
    "--table a.b": "--table must be ",
    "--long append --threads 2": "--long takes one thread",
    "--long foo": "--long must be append, load, save, ",
    "--unknown": "--unknown",
}


def call(program, arguments):
    return subprocess.run([program, *arguments], capture_output=True, text=True, check=False, timeout=120)


def check_run(program, arguments):
    done = call(program, arguments.split() + SMALL)
    print(arguments, done.stdout.strip(), sep="\n  ")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "more than one line"
    said = json.loads(done.stdout)
    assert said.keys() == KEYS, said.keys() ^ KEYS
    assert said["operations"] > 0 and said["errors"] == 0 and said["ops_per_s"] > 0 and said["durable"]
    assert 0 < said["p50_ms"] <= said["p90_ms"] <= said["p99_ms"] <= said["p999_ms"] <= said["max_ms"]
    # The server itself may execute a few statements more (autovacuum), and none too few.
    if said["statements"] is not None and said["op"] in ("load", "save"):
        if said["mode"] == "batched":
            assert said["mean_batch"] > 1.5
        else:
            assert 0.9 < said["mean_batch"] <= 1


def check_long(program, part, layout):
    done = call(program, ["--long", part, *"--callers 4 --seconds 0.3 --warmup 0.1".split()])
    print(part, done.stdout.strip(), sep="\n  ")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["layout"] == layout and said["operations"] > 0 and said["ops_per_s"] > 0 and said["p50_ms"] > 0


def check_refusal(program, arguments, message):
    done = call(program, arguments.split())
    print(arguments, done.stderr.strip(), sep="\n  ")
    assert done.returncode == 2 and message in done.stderr and not done.stdout


def main():
    what, program = sys.argv[1:]
    if what == "smoke":
        for arguments in RUNS:
            check_run(program, arguments)
        for part, layout in LONG.items():
            check_long(program, part, layout)
    else:
        for arguments, message in REFUSED.items():
            check_refusal(program, arguments, message)
        assert "--callers" in call(program, ["--help"]).stdout


main()
