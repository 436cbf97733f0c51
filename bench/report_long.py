#!/usr/bin/env python3
"""Notes the runs of bench/run.sh --long, which are of sessions with long histories, and reports on them.

    report_long.py note --log LOG --lines FILE --round N --program NAME
                                                             adds what a program printed, and says it in short
    report_long.py write --log LOG --machine FILE --out DIR  makes DIR/runs.json, then all that render makes
    report_long.py render --out DIR                          from DIR/runs.json: summary.json, results.md and
                                                             long_sessions.svg
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

from report import figure, keep_runs, markdown_table, measured, plain_table, target_rows, write_json

# What makes two lines the same measurement.
CELL = ("part", "what", "messages", "layout", "program")
METRICS = ("operations", "p50_ms", "mean_ms", "wal_bytes", "wal_p50_bytes", "ops_per_s")


# ---- runs


def note(text, round_, program):
    runs = [{"round": round_, "program": program, **json.loads(line)} for line in text.splitlines()]
    for run in runs:
        if program == "pgx":
            # The program knows neither parts nor layouts: what it works on is made by `--long callers-prepare`.
            run.update(part="callers", what="append", layout="rows", messages=1000)
    return runs


def line_of(run):
    name = f"{run['what']:18} {run['messages']:7,} messages  {title(run):14}"
    if "ops_per_s" in run:
        return f"{name} {run['ops_per_s']:9,.0f}/s"
    return f"{name} {figure(run['p50_ms']):>8} ms  {kilobytes(run['wal_bytes']):>8} kB of log"


def title(run):
    return "pgx, rows" if run["program"] == "pgx" else run["layout"]


def kilobytes(count):
    return "-" if count is None else figure(count / 1000)


def summarize(runs):
    """A line for each cell, in the order of the first runs, with the medians over its rounds."""
    cells = {}
    for run in runs:
        cells.setdefault(tuple(run[name] for name in CELL), []).append(run)
    lines = []
    for key, of_cell in cells.items():
        line = {**dict(zip(CELL, key)), "rounds": len(of_cell)}
        for metric in METRICS:
            known = [run[metric] for run in of_cell if run.get(metric) is not None]
            line[metric] = statistics.median(known) if known else None
        lines.append(line)
    return lines


# ---- targets


class Target:
    """Something to reach: a value for each round in which all that it needs was measured, and a bound."""

    def __init__(self, name, bound, limit, of_round, unit="x"):
        self.name, self.bound, self.limit, self.of_round, self.unit = name, bound, limit, of_round, unit

    def check(self, runs):
        rounds = {}
        for run in runs:
            key = run["what"], run["messages"], "pgx" if run["program"] == "pgx" else run["layout"], run["part"]
            rounds.setdefault(run["round"], {})[key] = run
        values = []
        for _, found in sorted(rounds.items()):
            try:
                values.append(self.of_round(found))
            except (KeyError, ZeroDivisionError):
                pass
        wanted = f"{self.bound} {self.limit:g}{self.unit}"
        if not values:
            return {"target": self.name, "wanted": wanted, "measured": None, "of_target": None,
                    "verdict": "not measured"}
        value = statistics.median(values)
        reached = value >= self.limit if self.bound == ">=" else value <= self.limit
        return {"target": self.name, "wanted": wanted, "measured": round(value, 3), "from": round(min(values), 3),
                "to": round(max(values), 3), "of_target": round(value / self.limit, 3),
                "verdict": "reached" if reached else "short"}


def value(part, what, messages, layout, metric):
    return lambda found: found[what, messages, layout, part][metric]


def ratio(above, below):
    return lambda found: above(found) / below(found)


def time(part, what, messages, layout):
    return value(part, what, messages, layout, "p50_ms")


def log(part, what, messages, layout):
    return lambda found: value(part, what, messages, layout, "wal_bytes")(found) / 1000


def rate(what, layout):
    return value("callers", what, 1000, layout, "ops_per_s")


def spread(found):
    times = [time("append", "append", messages, "rows")(found) for messages in (10, 1000, 100000)]
    return max(times) / min(times)


TARGETS = (
    Target("append in rows: the slowest of 10, 1,000 and 100,000 messages against the fastest", "<=", 1.5, spread),
    *(Target(f"append in rows, {messages:,} messages: log", "<=", 2, log("append", "append", messages, "rows"), " kB")
      for messages in (10, 1000, 100000)),
    Target("append, 256 callers: rows against document", ">=", 50, ratio(rate("append", "rows"),
                                                                      rate("append", "document"))),
    Target("append, 256 callers: rows against pgx", ">=", 6, ratio(rate("append", "rows"), rate("append", "pgx"))),
    Target("append with ids, 256 callers: rows against pgx without", ">=", 3,
           ratio(rate("append_ids", "rows"), rate("append", "pgx"))),
    Target("load in rows: the last 50 of 100,000 against a history of 50", "<=", 3,
           ratio(time("load", "load_last_50", 100000, "rows"), time("load", "load_all", 50, "rows"))),
    Target("load of all of 1,000: rows against document", "<=", 1.3,
           ratio(time("load", "load_all", 1000, "rows"), time("load", "load_all", 1000, "document"))),
    *(target for what, name in (("save", "save"), ("save_if_unchanged", "save with if_unchanged"))
      for target in (
          Target(f"{name} after one more of 10,000: rows against document", "<=", 0.05,
                 ratio(time("save", what, 10000, "rows"), time("save", what, 10000, "document"))),
          Target(f"{name} after one more of 10,000, rows: log", "<=", 5, log("save", what, 10000, "rows"), " kB"))),
    Target("10,000 messages with a save after each, rows: log", "<=", 60,
           lambda found: log("build", "build", 10000, "rows")(found) / 1000, " MB"),
    Target("checkpoint in rows: 10,000 messages against none", "<=", 2,
           ratio(time("checkpoint", "checkpoint", 10000, "rows"), time("checkpoint", "checkpoint", 0, "rows"))),
)


def check_targets(runs):
    return [target.check(runs) for target in TARGETS]


# ---- text

NAMES = {
    "append": "append",
    "append_ids": "append of a message with an id",
    "load_last_50": "load of the last 50",
    "load_all": "load of all",
    "save": "save after one more message",
    "save_if_unchanged": "the same with if_unchanged",
    "save_part": "the same of a state of which the last 50 were loaded",
    "save_rewritten": "the same with the first message changed",
    "build": "a save after each message, all of them",
    "checkpoint": "checkpoint of a new version",
}


def operations_table(lines):
    rows = [("operation", "messages", "layout", "operations", "ms, median", "ms, mean", "kB of log, mean")]
    for line in sorted(lines, key=lambda line: (list(NAMES).index(line["what"]), line["messages"], line["layout"])):
        rows.append((NAMES[line["what"]], f"{line['messages']:,}", title(line), f"{line['operations']:,.0f}",
                     figure(line["p50_ms"]), figure(line["mean_ms"]), kilobytes(line["wal_bytes"])))
    return markdown_table(rows, numbers=(1, 3, 4, 5, 6))


def callers_table(lines):
    rows = [("operation", "program, layout", "per second", "ms, median")]
    for line in lines:
        name = "pgx, rows" if line["program"] == "pgx" else f"pgstate, {line['layout']}"
        rows.append((NAMES[line["what"]], name, figure(line["ops_per_s"]), figure(line["p50_ms"])))
    return markdown_table(rows, numbers=(2, 3))


def results_text(about, runs):
    lines = summarize(runs)
    alone = [line for line in lines if line["part"] != "callers"]
    together = [line for line in lines if line["part"] == "callers"]
    targets = check_targets(runs)
    shown = [(*row, "-" if result is None else f"{result['of_target']:.2f}" if result["of_target"] else "-")
             for row, result in zip(target_rows(targets), (None, *targets))]
    shown[0] = (*shown[0][:-1], "measured / target")
    parts = ["# Long sessions",
             "Written by `bench/run.sh --long`; `bench/README.md` says what the numbers mean.",
             markdown_table([("", "")] + [(name.replace("_", " "), str(value)) for name, value in about.items()]),
             "## Targets", markdown_table(shown, numbers=(1, 2, 4)),
             "## One caller", "Messages of 300 bytes.", operations_table(alone)]
    if together:
        parts += ["## 256 callers, each with a session of 1,000 messages", callers_table(together)]
    return "\n\n".join(parts) + "\n"


# ---- chart

SERIES = (
    ("document", "lw 2.5 pt 13 lc rgb '#c8501e'"),
    ("rows", "lw 2.5 pt 7 lc rgb '#0b5fa5'"),
)
PANELS = (("p50_ms", "an append: milliseconds", 1), ("wal_bytes", "an append: kB of write-ahead log", 1000))


def chart(runs):
    """A program for gnuplot that writes the picture to its standard output."""
    lines = [line for line in summarize(runs) if line["part"] == "append"]
    out = [
        "set terminal svg size 1000,400 dynamic enhanced font 'Helvetica,Arial,sans-serif,15' background '#ffffff'",
        "set encoding utf8",
        "set multiplot layout 1,2 margins 0.07,0.83,0.18,0.88 spacing 0.075,0",
        "set logscale xy",
        "set grid xtics ytics lc rgb '#dddddd' lw 1",
        "set border lc rgb '#333333'",
        "set format x '%.0s%c'",
        "set format y '%g'",
        "set xlabel 'messages in the history'",
        "set xrange [6:160000]",
        "set pointsize 0.8",
        # One for both panels, beside them.
        "set key at screen 0.84,0.88 left top Left reverse samplen 2.5 spacing 1.4",
    ]
    for metric, name, unit in PANELS:
        plots = []
        for layout, style in SERIES:
            points = sorted((line["messages"], line[metric] / unit) for line in lines if line["layout"] == layout)
            out += [f"${metric}_{layout} << END", *(f"{x} {y:.6g}" for x, y in points or [(1, float("nan"))]), "END"]
            plots.append(f"${metric}_{layout} using 1:2 with linespoints {style} title \"{layout}\"")
        values = [line[metric] / unit for line in lines if line[metric]]
        if not values:
            out.append("set multiplot next")
            continue
        out += [f"set title '{name}'", f"set yrange [{min(values) / 2:.6g}:{max(values) * 2:.6g}]",
                "plot " + ", ".join(plots), "unset key"]
    out.append("unset multiplot")
    return "\n".join(out) + "\n"


# ---- files


def render(out):
    kept = json.loads((out / "runs.json").read_text(encoding="utf-8"))
    about, runs = kept["machine"], kept["runs"]
    targets = check_targets(runs)
    write_json(out / "summary.json", {"machine": about, "targets": targets, "cells": summarize(runs)},
               ("targets", "cells"))
    (out / "results.md").write_text(results_text(about, runs), encoding="utf-8")
    picture = subprocess.run(["gnuplot"], input=chart(runs), capture_output=True, text=True, check=True)
    (out / "long_sessions.svg").write_text(picture.stdout, encoding="utf-8")
    print(plain_table(target_rows(targets)))


def main(argv):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    noting = commands.add_parser("note")
    for option in ("log", "lines"):
        noting.add_argument(f"--{option}", type=pathlib.Path, required=True)
    noting.add_argument("--round", type=int, required=True)
    noting.add_argument("--program", required=True)
    for name, options in {"write": ("log", "machine", "out"), "render": ("out",)}.items():
        command = commands.add_parser(name)
        for option in options:
            command.add_argument(f"--{option}", type=pathlib.Path, required=True)
    given = parser.parse_args(argv)

    if given.command == "note":
        runs = note(given.lines.read_text(encoding="utf-8"), given.round, given.program)
        with open(given.log, "a", encoding="utf-8") as kept:
            for run in runs:
                kept.write(json.dumps(run) + "\n")
                print("  " + line_of(run))
        return 0
    if given.command == "write":
        keep_runs(given.log, given.machine, given.out)
    render(given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
