#!/usr/bin/env python3
"""Notes the runs of bench/run.sh and reports on them.

    report.py machine [--set KEY=VALUE]...                   what this machine is, as JSON
    report.py note --log LOG --line FILE --errors FILE [--set KEY=VALUE]...
                                                             adds a run to the log and says in one line how it went
    report.py write --log LOG --machine FILE --out DIR       makes DIR/runs.json, then all that render makes
    report.py render --out DIR                               from DIR/runs.json: summary.json, results.md and
                                                             throughput.svg
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

METRICS = ("ops_per_s", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "max_ms", "mean_batch", "rss_mb")

# What makes two runs the same measurement.
CELL = ("experiment", "op", "program", "indexes", "callers", "agents", "sessions", "state_bytes")

TITLES = {
    "pgstate": "pgstate",
    "pgstate-lean": "pgstate, lean indexes",
    "single": "pgstate, unbatched",
    "pqxx": "libpqxx, blocking",
    "pgx": "pgx",
    "limit": "server's limit",
    "limit-lean": "server's limit, lean indexes",
}


# ---- runs


def number_or_text(text):
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def settings(pairs):
    return {key: value for key, _, value in (pair.partition("=") for pair in pairs)}


def numbered(known):
    return {key: number_or_text(value) for key, value in known.items()}


def machine(known):
    def first(path, start):
        try:
            with open(path, encoding="utf-8") as lines:
                return next((line.partition(":")[2].strip() for line in lines if line.startswith(start)), "unknown")
        except OSError:
            return "unknown"

    memory = first("/proc/meminfo", "MemTotal").split()[0]
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": first("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gb": round(int(memory) / 2**20, 1) if memory.isdigit() else None,
        "kernel": platform.release(),
        "load_before": round(os.getloadavg()[0], 2),
        **known,
    }


def note(line, errors, given):
    """The run as it is kept: what was asked for, and what the program said, or why it failed."""
    run = dict(given)
    try:
        run = {**json.loads(line), **given}
    except ValueError:
        pass
    if run["status"] != 0 or "ops_per_s" not in run or run.get("errors"):
        lines = errors.strip().splitlines()
        run["failure"] = lines[-1] if lines else f"ended with {run['status']} and said nothing"
    return run


def line_of(run):
    name = f"{run['op']:5} {run['callers']:6} callers  {TITLES[run['program']]:28}"
    if "failure" in run:
        return f"{name}  failed: {run['failure']}"
    p50 = "" if run["p50_ms"] is None else f"   p50 {run['p50_ms']:.2f} ms, p99 {run['p99_ms']:.2f} ms"
    return f"{name}  {run['ops_per_s']:8,.0f}/s{p50}"


def good(runs):
    return [run for run in runs if "failure" not in run]


def median(values):
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def summarize(runs):
    """A line for each cell, in the order of the first runs, with the medians over its rounds."""
    cells = {}
    for run in runs:
        cells.setdefault(tuple(run[name] for name in CELL), []).append(run)
    lines = []
    for key, all_runs in cells.items():
        counted = good(all_runs)
        line = dict(zip(CELL, key))
        line["rounds"] = len(counted)
        line["failed"] = len(all_runs) - len(counted)
        for metric in METRICS:
            line[metric] = median(run.get(metric) for run in counted)
        line["ops_per_s_from"] = min((run["ops_per_s"] for run in counted), default=None)
        line["ops_per_s_to"] = max((run["ops_per_s"] for run in counted), default=None)
        lines.append(line)
    return lines


# ---- targets


class Target:
    """Something to reach: a value for each round in which all that it needs was measured, and a bound."""

    def __init__(self, name, bound, limit, of_round, worst=False, unit=""):
        self.name, self.bound, self.limit, self.of_round = name, bound, limit, of_round
        self.worst = worst  # the worst round counts, not the median
        self.unit = unit

    def check(self, runs):
        rounds = {}
        for run in good(runs):
            if run["experiment"] == "main":
                # The limit has no callers, only pgbench's connections.
                callers = None if run["program"].startswith("limit") else run["callers"]
                rounds.setdefault(run["round"], {})[run["op"], callers, run["program"]] = run
        values = []
        for _, found in sorted(rounds.items()):
            try:
                values.append(self.of_round(found))
            except (KeyError, ZeroDivisionError):
                pass
        if not values:
            return {"target": self.name, "wanted": self.wanted(), "measured": None, "verdict": "not measured"}
        at_least = self.bound == ">="
        if self.worst:
            measured = min(values) if at_least else max(values)
        else:
            measured = statistics.median(values)
        reached = measured >= self.limit if at_least else measured <= self.limit
        return {
            "target": self.name,
            "wanted": self.wanted(),
            "measured": round(measured, 3),
            "from": round(min(values), 3),
            "to": round(max(values), 3),
            "verdict": "reached" if reached else "short",
        }

    def wanted(self):
        return f"{self.bound} {self.limit:g}{self.unit}"


def ratio(metric, a, b):
    return lambda found: found[a][metric] / found[b][metric]


def against_pgx(op, callers, limit, metric="ops_per_s", bound=">=", program="pgstate", of="throughput"):
    page = ", a page of 100" if op == "list" else ""
    lean = " with lean indexes" if program == "pgstate-lean" else ""
    ours, theirs = (op, callers, program), (op, callers, "pgx")
    plural = "s" if callers > 1 else ""
    name = f"{op}{page}, {callers:,} caller{plural}: {of}{lean} against pgx"
    return Target(name, bound, limit, ratio(metric, ours, theirs), unit="x")


def against_limit(op, limit):
    return Target(f"{op}, 1,000 callers: throughput against the server's limit", ">=", limit,
                  ratio("ops_per_s", (op, 1000, "pgstate"), (op, None, "limit")), unit="x")


MANY = ("load", 10000, "pgstate")
TARGETS = (
    against_pgx("load", 1, 1.1),
    against_pgx("load", 1, 1, metric="p50_ms", bound="<=", of="p50"),
    against_pgx("load", 64, 4),
    against_pgx("load", 256, 7),
    against_pgx("load", 1000, 9),
    against_pgx("save", 1, 1.1),
    against_pgx("save", 64, 4),
    against_pgx("save", 256, 7),
    against_pgx("save", 256, 15, program="pgstate-lean"),
    against_pgx("list", 64, 3),
    against_pgx("load", 256, 0.2, metric="p99_ms", bound="<=", of="p99"),
    Target("load, 10,000 callers: memory, worst round", "<=", 150, lambda found: found[MANY]["rss_mb"],
           worst=True, unit=" MB"),
    Target("load, 10,000 callers: slowest against the median, worst round", "<=", 10,
           lambda found: found[MANY]["max_ms"] / found[MANY]["p50_ms"], worst=True, unit="x"),
    against_limit("load", 0.5),
    against_limit("save", 0.5),
)


def check_targets(runs):
    return [target.check(runs) for target in TARGETS]


# ---- text


def figure(value):
    """A number with about three digits."""
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def measured(result):
    if result["measured"] is None:
        return "-"
    spread = "" if result["from"] == result["to"] else f" ({figure(result['from'])} to {figure(result['to'])})"
    return figure(result["measured"]) + spread


def target_rows(results):
    return [("target", "wanted", "measured", "")] + [
        (result["target"], result["wanted"], measured(result), result["verdict"]) for result in results
    ]


def plain_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows)


def markdown_table(rows, numbers=()):
    head, *body = rows
    rule = ["---:" if i in numbers else "---" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


SECTIONS = (
    ("main", "100,000 states of about 600 bytes"),
    ("callers", "The number of callers"),
    ("state-size", "The size of a state, 64 callers"),
    ("table-size", "The size of the table, 256 callers"),
)


SHOWN = ("ops_per_s", "p50_ms", "p99_ms", "max_ms", "mean_batch", "rss_mb")


def cells_table(lines):
    head = ("operation", "callers", "states", "bytes", "program", "per second", "p50 ms", "p99 ms", "max ms",
            "rows a statement", "memory MB")
    rows = [head]
    order = {program: place for place, program in enumerate(TITLES)}
    for line in sorted(lines, key=lambda line: (line["op"], line["agents"] * line["sessions"], line["state_bytes"],
                                                line["callers"], order[line["program"]])):
        failed = " (failed)" if not line["rounds"] else ""
        rows.append((line["op"], f"{line['callers']:,}", f"{line['agents'] * line['sessions']:,}",
                     f"{line['state_bytes']:,}", TITLES[line["program"]] + failed,
                     *(figure(line[metric]) for metric in SHOWN)))
    return markdown_table(rows, numbers=(1, 2, 3, 5, 6, 7, 8, 9, 10))


def results_text(about, runs):
    lines = summarize(runs)
    parts = ["# Results", "Written by `bench/run.sh`; `bench/README.md` says what the numbers mean.",
             markdown_table([("", "")] + [(name.replace("_", " "), str(value)) for name, value in about.items()]),
             "## Targets", markdown_table(target_rows(check_targets(runs)), numbers=(1, 2)),
             "Ratios are the medians over the rounds of the ratio of two runs of one round; in brackets, the least and "
             "the most."]
    for experiment, title in SECTIONS:
        of_it = [line for line in lines if line["experiment"] == experiment]
        if of_it:
            parts += [f"## {title}", "Medians over the rounds.", cells_table(of_it)]
    return "\n\n".join(parts) + "\n"


# ---- chart


SERIES = (
    ("pgstate", "lw 2.5 pt 7 lc rgb '#0b5fa5'"),
    ("single", "lw 2 pt 9 lc rgb '#56a0d3'"),
    ("pqxx", "lw 2 pt 5 lc rgb '#7a7a7a'"),
    ("pgx", "lw 2.5 pt 13 lc rgb '#c8501e'"),
)
LIMIT = "dt 2 lw 2 lc rgb '#2e7d32'"


def curve(lines, op, program):
    """(callers, operations a second), over all experiments whose table is the same."""
    points = {}
    for line in lines:
        same_table = line["experiment"] in ("main", "callers")
        if (line["op"], line["program"]) == (op, program) and same_table and line["rounds"]:
            points.setdefault(line["callers"], []).append(line["ops_per_s"])
    return sorted((callers, statistics.median(values)) for callers, values in points.items())


def chart(runs):
    """A program for gnuplot that writes the picture to its standard output."""
    lines = summarize(runs)
    out = [
        "set terminal svg size 1100,420 dynamic enhanced font 'Helvetica,Arial,sans-serif,15' background '#ffffff'",
        "set encoding utf8",
        "set multiplot layout 1,2 margins 0.06,0.775,0.18,0.88 spacing 0.065,0",
        "set logscale xy",
        "set grid xtics ytics lc rgb '#dddddd' lw 1",
        "set border lc rgb '#333333'",
        "set format x '%.0s%c'",
        "set format y '%.0s%c'",
        "set xlabel 'callers'",
        "set pointsize 0.8",
        # One for both panels, beside them.
        "set key at screen 0.785,0.88 left top Left reverse samplen 2.5 spacing 1.4",
    ]
    for op in ("load", "save"):
        curves = {program: curve(lines, op, program) for program, _ in SERIES}
        limit = next((line["ops_per_s"] for line in lines
                      if (line["op"], line["program"]) == (op, "limit") and line["rounds"]), None)
        points = [point for each in curves.values() for point in each]
        if not points:
            out.append("set multiplot next")
            continue
        plots = [f"{limit or 'NaN'} with lines {LIMIT} title \"{TITLES['limit']}\""]
        for program, style in SERIES:
            name = f"${op}_{program}"
            data = curves[program] or [(1, "NaN")]
            out += [f"{name} << END", *(f"{callers} {rate}" for callers, rate in data), "END"]
            plots.append(f"{name} using 1:2 with linespoints {style} title \"{TITLES[program]}\"")
        rates = [rate for _, rate in points] + ([limit] if limit else [])
        out += [
            f"set title '{op}: operations per second'",
            f"set xrange [0.8:{max(callers for callers, _ in points) * 1.25}]",
            f"set yrange [{min(rates) / 1.6}:{max(rates) * 1.6}]",
            "plot " + ", ".join(plots),
            "unset key",
        ]
    out.append("unset multiplot")
    return "\n".join(out) + "\n"


# ---- files


def write_json(path, value, lists):
    """With one line for each element of the named lists, so that the files are short and their differences readable."""
    parts = []
    for name, part in value.items():
        if name in lists:
            elements = ",\n".join("    " + json.dumps(element) for element in part)
            parts.append(f"  {json.dumps(name)}: [\n{elements}\n  ]")
        else:
            parts.append(f"  {json.dumps(name)}: " + json.dumps(part, indent=2).replace("\n", "\n  "))
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def keep_runs(log, machine_file, out):
    """Makes runs.json."""
    out.mkdir(parents=True, exist_ok=True)
    about = json.loads(machine_file.read_text(encoding="utf-8"))
    runs = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    write_json(out / "runs.json", {"machine": about, "runs": runs}, ("runs",))


def render(out):
    kept = json.loads((out / "runs.json").read_text(encoding="utf-8"))
    about, runs = kept["machine"], kept["runs"]
    targets = check_targets(runs)
    summary = {"machine": about, "targets": targets, "cells": summarize(runs)}
    write_json(out / "summary.json", summary, ("targets", "cells"))
    (out / "results.md").write_text(results_text(about, runs), encoding="utf-8")
    picture = subprocess.run(["gnuplot"], input=chart(runs), capture_output=True, text=True, check=True)
    (out / "throughput.svg").write_text(picture.stdout, encoding="utf-8")
    print(plain_table(target_rows(targets)))


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, options in {
        "machine": ("set",),
        "note": ("log", "line", "errors", "set"),
        "write": ("log", "machine", "out"),
        "render": ("out",),
    }.items():
        command = commands.add_parser(name)
        for option in options:
            if option == "set":
                command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
            else:
                command.add_argument(f"--{option}", type=pathlib.Path, required=True)
    given = parser.parse_args(argv)

    if given.command == "machine":
        print(json.dumps(machine(settings(given.set))))
        return 0
    if given.command == "note":
        run = note(given.line.read_text(encoding="utf-8"), given.errors.read_text(encoding="utf-8"),
                   numbered(settings(given.set)))
        with open(given.log, "a", encoding="utf-8") as log:
            log.write(json.dumps(run) + "\n")
        print(line_of(run))
        return 1 if "failure" in run else 0
    if given.command == "write":
        keep_runs(given.log, given.machine, given.out)
    render(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
