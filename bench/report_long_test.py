"""Tests report_long.py: python3 bench/report_long_test.py"""

import contextlib
import io
import json
import pathlib
import shutil
import tempfile
import unittest

import report_long


def run(part, what, messages, layout, round_=1, **more):
    return {"round": round_, "program": "pgstate", "part": part, "what": what, "messages": messages, "layout": layout,
            "operations": 10, **more}


def pgx(round_, rate):
    line = json.dumps({"op": "append", "operations": 10, "ops_per_s": rate, "p50_ms": 5})
    return report_long.note(line, round_, "pgx")[0]


def append(messages, layout, milliseconds, log):
    return run("append", "append", messages, layout, p50_ms=milliseconds, mean_ms=milliseconds, wal_bytes=log,
               wal_p50_bytes=log)


RUNS = [
    append(10, "rows", 0.5, 1000), append(10, "document", 1, 5000),
    append(1000, "rows", 0.6, 1100), append(1000, "document", 10, 90000),
    append(100000, "rows", 0.7, 2001), append(100000, "document", 1000, 9e6),
    # The ratios against pgx are 10, 5 and 8, while that of the medians would be 10.
    run("callers", "append", 1000, "rows", 1, ops_per_s=10000), pgx(1, 1000),
    run("callers", "append", 1000, "rows", 2, ops_per_s=10000), pgx(2, 2000),
    run("callers", "append", 1000, "rows", 3, ops_per_s=4000), pgx(3, 500),
    run("callers", "append", 1000, "document", 1, ops_per_s=100),
]


class Targets(unittest.TestCase):
    def setUp(self):
        self.results = {result["target"]: result for result in report_long.check_targets(RUNS)}

    def check(self, name, measured, verdict):
        self.assertEqual((self.results[name]["measured"], self.results[name]["verdict"]), (measured, verdict))

    def test_the_spread_of_appends(self):
        self.check("append in rows: the slowest of 10, 1,000 and 100,000 messages against the fastest", 1.4, "reached")

    def test_log(self):
        self.check("append in rows, 1,000 messages: log", 1.1, "reached")
        self.check("append in rows, 100,000 messages: log", 2.001, "short")
        self.assertEqual(self.results["append in rows, 1,000 messages: log"]["of_target"], 0.55)

    def test_the_ratio_is_the_median_of_the_rounds_ratios(self):
        self.check("append, 256 callers: rows against pgx", 8, "reached")

    def test_a_ratio_needs_both_in_one_round(self):
        self.check("append, 256 callers: rows against document", 100, "reached")
        self.check("append with ids, 256 callers: rows against pgx without", None, "not measured")

    def test_no_runs_at_all(self):
        self.assertEqual({result["verdict"] for result in report_long.check_targets([])}, {"not measured"})

    def test_every_target_has_its_own_name(self):
        self.assertEqual(len(self.results), len(report_long.TARGETS))


class Files(unittest.TestCase):
    def test_the_chart_has_what_was_measured(self):
        program = report_long.chart(RUNS)
        self.assertIn("$p50_ms_rows << END\n10 0.5\n1000 0.6\n100000 0.7\nEND", program)
        self.assertIn("$wal_bytes_document << END\n10 5\n1000 90\n100000 9000\nEND", program)

    def test_the_chart_without_runs(self):
        self.assertNotIn("plot $", report_long.chart([]))

    def test_lines(self):
        self.assertIn("0.60 ms", report_long.line_of(RUNS[2]))
        self.assertIn("1,000/s", report_long.line_of(pgx(1, 1000)))

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_write(self):
        with tempfile.TemporaryDirectory() as name:
            scratch = pathlib.Path(name)
            (scratch / "log").write_text("".join(json.dumps(each) + "\n" for each in RUNS), encoding="utf-8")
            (scratch / "machine").write_text(json.dumps({"cores": 2}), encoding="utf-8")
            with contextlib.redirect_stdout(io.StringIO()):
                status = report_long.main(["write", "--log", str(scratch / "log"), "--machine",
                                           str(scratch / "machine"), "--out", str(scratch / "out")])
            self.assertEqual(status, 0)
            self.assertEqual(json.loads((scratch / "out/runs.json").read_text())["runs"], RUNS)
            self.assertIn("| append | 1,000 | document | 10 | 10.0 | 10.0 | 90.0 |",
                          (scratch / "out/results.md").read_text())
            self.assertIn("</svg>", (scratch / "out/long_sessions.svg").read_text())


if __name__ == "__main__":
    unittest.main()
