"""Tests report.py: python3 bench/report_test.py"""

import contextlib
import io
import json
import pathlib
import shutil
import tempfile
import unittest

import report


def run(program, op, callers, round_, **more):
    return {
        "experiment": "main", "round": round_, "program": program, "op": op, "callers": callers, "indexes": "standard",
        "agents": 1000, "sessions": 100, "state_bytes": 600, "status": 0, "errors": 0, "ops_per_s": 1000, "p50_ms": 1.0,
        "p90_ms": 1.5, "p99_ms": 2.0, "p999_ms": 3.0, "max_ms": 4.0, "mean_batch": 1, "rss_mb": 20.0, **more,
    }


CANNED = {
    "machine": {"date": "2024-01-01 00:00 UTC", "cores": 2, "postgresql": "17.10"},
    "runs": [
        # 64 callers: the ratios are 5, 3 and 4.2, while that of the medians would be 4.
        run("pgx", "load", 64, 1, ops_per_s=1000), run("pgstate", "load", 64, 1, ops_per_s=5000),
        run("pgstate", "load", 64, 2, ops_per_s=6000), run("pgx", "load", 64, 2, ops_per_s=2000),
        run("pgx", "load", 64, 3, ops_per_s=1500), run("pgstate", "load", 64, 3, ops_per_s=6300),
        # 256 callers: faster, but not 7 times as fast; p99 is a fifth.
        run("pgx", "load", 256, 1, ops_per_s=1000, p99_ms=10.0),
        run("pgstate", "load", 256, 1, ops_per_s=6999, p99_ms=2.0),
        # 1,000 callers: one round of pgx failed, and the other alone counts.
        run("pgx", "load", 1000, 1, ops_per_s=1, status=1, failure="out of memory"),
        run("pgstate", "load", 1000, 1, ops_per_s=9000), run("limit", "load", 4, 1, ops_per_s=20000, p50_ms=None),
        run("pgx", "load", 1000, 2, ops_per_s=1000), run("pgstate", "load", 1000, 2, ops_per_s=9100),
        run("limit", "load", 4, 2, ops_per_s=22750, p50_ms=None),
        run("pgstate", "load", 10000, 1, rss_mb=100.0, p50_ms=10.0, max_ms=50.0),
        run("pgstate", "load", 10000, 2, rss_mb=149.9, p50_ms=10.0, max_ms=100.1),
        run("pgstate", "load", 10000, 3, rss_mb=90.0, p50_ms=10.0, max_ms=20.0),
        run("pgstate-lean", "save", 256, 1, indexes="lean", ops_per_s=16000),
        run("pgx", "save", 256, 1, ops_per_s=1000),
        # Another experiment's runs are no part of the main comparison.
        run("pgx", "load", 1, 1, experiment="callers"),
        run("pgstate", "load", 1, 1, experiment="callers", ops_per_s=2000),
    ],
}


class Targets(unittest.TestCase):
    def setUp(self):
        self.results = {result["target"]: result for result in report.check_targets(CANNED["runs"])}

    def check(self, name, measured, verdict):
        self.assertEqual(self.results[name]["verdict"], verdict)
        self.assertEqual(self.results[name]["measured"], measured)

    def test_the_ratio_is_the_median_of_the_rounds_ratios(self):
        self.check("load, 64 callers: throughput against pgx", 4.2, "reached")
        result = self.results["load, 64 callers: throughput against pgx"]
        self.assertEqual((result["from"], result["to"]), (3, 5))

    def test_short(self):
        self.check("load, 256 callers: throughput against pgx", 6.999, "short")

    def test_where_less_is_better(self):
        self.check("load, 256 callers: p99 against pgx", 0.2, "reached")

    def test_a_failed_run_does_not_count(self):
        self.check("load, 1,000 callers: throughput against pgx", 9.1, "reached")

    def test_the_limit_is_the_same_for_any_number_of_callers(self):
        self.check("load, 1,000 callers: throughput against the server's limit", 0.425, "short")

    def test_the_worst_round_counts_for_memory_and_the_slowest_operation(self):
        self.check("load, 10,000 callers: memory, worst round", 149.9, "reached")
        self.check("load, 10,000 callers: slowest against the median, worst round", 10.01, "short")

    def test_lean_indexes_against_standard_ones(self):
        self.check("save, 256 callers: throughput with lean indexes against pgx", 16, "reached")

    def test_a_missing_cell_is_not_measured(self):
        self.check("save, 64 callers: throughput against pgx", None, "not measured")

    def test_other_experiments_are_left_out(self):
        self.check("load, 1 caller: throughput against pgx", None, "not measured")
        self.check("load, 1 caller: p50 against pgx", None, "not measured")

    def test_no_runs_at_all(self):
        verdicts = {result["verdict"] for result in report.check_targets([])}
        self.assertEqual(verdicts, {"not measured"})

    def test_every_target_has_its_own_name(self):
        self.assertEqual(len(self.results), len(report.TARGETS))


class Summary(unittest.TestCase):
    def cell(self, program, op, callers):
        return next(line for line in report.summarize(CANNED["runs"])
                    if (line["program"], line["op"], line["callers"]) == (program, op, callers))

    def test_medians(self):
        line = self.cell("pgx", "load", 64)
        self.assertEqual((line["ops_per_s"], line["rounds"]), (1500, 3))
        self.assertEqual((line["ops_per_s_from"], line["ops_per_s_to"]), (1000, 2000))

    def test_the_median_of_two(self):
        self.assertEqual(self.cell("pgstate", "load", 1000)["ops_per_s"], 9050)

    def test_failed_runs_are_counted_apart(self):
        line = self.cell("pgx", "load", 1000)
        self.assertEqual((line["ops_per_s"], line["rounds"], line["failed"]), (1000, 1, 1))

    def test_what_was_not_measured_stays_unknown(self):
        self.assertIsNone(self.cell("limit", "load", 4)["p50_ms"])


class Notes(unittest.TestCase):
    given = {"experiment": "main", "round": 1, "program": "pgx", "op": "load", "callers": 64, "status": 0}

    def test_a_good_run(self):
        noted = report.note('{"op":"load","errors":0,"ops_per_s":12345,"p50_ms":1.5,"p99_ms":2.5}', "", self.given)
        self.assertNotIn("failure", noted)
        self.assertIn("12,345/s", report.line_of(noted))

    def test_a_program_that_fails(self):
        noted = report.note("", "some words\nno such table\n", {**self.given, "status": 1})
        self.assertEqual(noted["failure"], "no such table")
        self.assertIn("failed: no such table", report.line_of(noted))

    def test_a_program_that_says_nothing(self):
        self.assertIn("said nothing", report.note("", "", self.given)["failure"])

    def test_operations_that_fail(self):
        noted = report.note('{"errors":3,"ops_per_s":1}', "3 operations failed", self.given)
        self.assertEqual(noted["failure"], "3 operations failed")

    def test_a_version_stays_as_it_is_written(self):
        self.assertEqual(report.machine(report.settings(["postgresql=17.10"]))["postgresql"], "17.10")


class Files(unittest.TestCase):
    def test_the_chart_has_what_was_measured(self):
        program = report.chart(CANNED["runs"])
        self.assertIn("$load_pgx << END\n1 1000\n64 1500\n256 1000\n1000 1000\nEND", program)
        self.assertIn("21375", program)
        self.assertIn("$load_single << END\n1 NaN\nEND", program)

    def test_the_chart_without_runs(self):
        self.assertNotIn("plot $", report.chart([]))

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_write(self):
        with tempfile.TemporaryDirectory() as name:
            scratch = pathlib.Path(name)
            (scratch / "log").write_text("".join(json.dumps(each) + "\n" for each in CANNED["runs"]), encoding="utf-8")
            (scratch / "machine").write_text(json.dumps(CANNED["machine"]), encoding="utf-8")
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                status = report.main(["write", "--log", str(scratch / "log"), "--machine", str(scratch / "machine"),
                                      "--out", str(scratch / "out")])
            self.assertEqual(status, 0)
            self.assertRegex(said.getvalue(), r"load, 64 callers: .* +>= 4x +4\.20 \(3\.00 to 5\.00\) +reached")
            self.assertEqual(json.loads((scratch / "out/runs.json").read_text()), CANNED)
            summary = json.loads((scratch / "out/summary.json").read_text())
            self.assertEqual(summary["targets"], report.check_targets(CANNED["runs"]))
            self.assertIn("| load | 64 | 100,000 | 600 | pgx | 1,500 |", (scratch / "out/results.md").read_text())
            self.assertIn("</svg>", (scratch / "out/throughput.svg").read_text())


if __name__ == "__main__":
    unittest.main()
