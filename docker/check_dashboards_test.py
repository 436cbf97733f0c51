#!/usr/bin/env python3
"""Tests check_dashboards.py: python3 docker/check_dashboards_test.py"""

import copy
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import check_dashboards

INSTRUMENTS = """
/// Labels: db.operation.name; error.type where it failed.
inline constexpr instrument duration{"db.client.operation.duration", "s", "Its \\"time\\", "
                                     "in seconds.",
                                     instrument_kind::histogram, seconds};
/// Sent and received.
/// Labels: network.io.direction, "transmit" or "receive".
inline constexpr instrument bytes{"pgstate.io", "By", "Bytes.", instrument_kind::counter, {}};
inline constexpr instrument depth{"pgstate.queue.depth",
                                  "{operation}",
                                  "Waiting.",
                                  instrument_kind::gauge,
                                  {}};
/// Labels: db.client.connection.state: "idle", or "used".
inline constexpr instrument count{"db.client.connection.count", "{connection}", "Many.", instrument_kind::gauge, {}};
"""
ERRORS = "enum class errc : int {\n    not_found = 1, ///< none\n    conflict,   ///< another\n};\n"

METRICS = check_dashboards.read_instruments(INSTRUMENTS)
DURATION = "db_client_operation_duration_seconds"

SOURCE = {"type": "prometheus", "uid": "${source}"}
GOOD = {
    "templating": {"list": [
        {"name": "source", "type": "datasource", "query": "prometheus"},
        {"name": "operation", "type": "query", "datasource": SOURCE,
         "query": {"query": f"label_values({DURATION}_count, db_operation_name)"}},
    ]},
    "panels": [
        {"id": 1, "type": "row", "title": "Row", "panels": [
            {"id": 2, "type": "timeseries", "title": "Folded", "description": "d", "datasource": SOURCE,
             "fieldConfig": {"defaults": {"unit": "short"}},
             "targets": [{"datasource": SOURCE, "expr": "sum by (db_collection_name) (pgstate_queue_depth)",
                          "legendFormat": "{{db_collection_name}}"}]},
        ]},
        {"id": 3, "type": "timeseries", "title": "Times", "description": "d", "datasource": SOURCE,
         "fieldConfig": {"defaults": {"unit": "s"}},
         "targets": [
             {"expr": f'histogram_quantile(0.99, sum by (le) (rate({DURATION}_bucket{{db_operation_name=~"$operation"}}'
                      "[$__rate_interval])))", "legendFormat": "p99"},
             {"expr": 'rate(pgstate_io_bytes_total{network_io_direction="transmit"}[5m])'},
         ]},
        {"id": 4, "type": "heatmap", "title": "Map", "description": "d", "datasource": SOURCE,
         "options": {"yAxis": {"unit": "short"}}, "targets": [{"expr": "db_client_connection_count"}]},
    ],
}

RULES = """
groups:
  - name: g
    rules:
      # A comment: no key.
      - alert: Failing
        expr: |
          sum by (job) (
            rate(db_client_operation_duration_seconds_count{error_type!~"conflict|not_found|_OTHER|40P01"}[5m])
          ) > 1
        for: 5m
        labels:
          severity: critical
        annotations:
          summary: "{{ $labels.job }}: fails"
          description: >-
            It fails,
            and fails.

      - alert: Deep
        expr: pgstate_queue_depth > 10
        for: 5m
        labels:
          severity: warning
        annotations:
          summary: "{{ $labels.instance }}"
          description: Deep.
"""


class Case(unittest.TestCase):
    def setUp(self):
        self.checker = check_dashboards.Checker(METRICS, check_dashboards.read_errors(ERRORS))

    def found(self, *expected):
        self.assertEqual(self.checker.found, list(expected))


class Instruments(unittest.TestCase):
    def test_the_names_are_those_that_prometheus_has(self):
        self.assertEqual(set(METRICS), {
            f"{DURATION}_bucket", f"{DURATION}_sum", f"{DURATION}_count", "pgstate_io_bytes_total",
            "pgstate_queue_depth", "db_client_connection_count"})

    def test_the_labels_are_its_own_and_those_of_all(self):
        common = {"job", "instance", "db_system_name", "db_namespace"}
        self.assertEqual(METRICS[f"{DURATION}_count"].labels,
                         common | {"db_collection_name", "db_operation_name", "error_type"})
        self.assertEqual(METRICS[f"{DURATION}_bucket"].labels - METRICS[f"{DURATION}_count"].labels, {"le"})
        self.assertEqual(METRICS["pgstate_queue_depth"].labels, common | {"db_collection_name"})
        self.assertEqual(METRICS["db_client_connection_count"].labels,
                         common | {"db_client_connection_pool_name", "db_client_connection_state"})
        self.assertEqual(METRICS["pgstate_io_bytes_total"].values, {"network_io_direction": {"transmit", "receive"}})

    def test_what_is_not_understood_is_not_passed_over(self):
        for text in ("", INSTRUMENTS + "inline constexpr instrument other = make();\n",
                     INSTRUMENTS.replace('"By"', '"ms"'), INSTRUMENTS.replace("kind::gauge", "kind::summary")):
            with self.assertRaises(ValueError):
                check_dashboards.read_instruments(text)
        with self.assertRaises(ValueError):
            check_dashboards.read_errors("enum class other { a, };")


class Expressions(Case):
    def check(self, expression, *expected, uses=()):
        self.checker.found.clear()
        self.checker.expression("x", expression, uses)
        self.found(*(f"x: {each}" for each in expected))

    def test_what_fits_is_accepted(self):
        self.check(f"sum(rate({DURATION}_count[5m])) by (job) / on (job) group_left sum by (job) (pgstate_queue_depth)")
        self.check(f'{DURATION}_bucket{{le=~"1|1[.]0", job="a",}} offset 5m > bool 1e-3 unless pgstate_queue_depth')
        self.check('db_client_connection_count{db_client_connection_state="used"} '
                   "> ignoring (db_client_connection_state) pgstate_queue_depth # a comment")
        self.check("max_over_time(pgstate_queue_depth[5m:30s] offset 1h30m) > 100 or topk($n, pgstate_queue_depth)")

    def test_metrics(self):
        self.check("rate(pgstate_io_total[5m]) + pgstate_queue_depth", "there is no metric pgstate_io_total")
        self.check(f"rate({DURATION}[5m])", f"there is no metric {DURATION}")
        self.check("1 + 1", "no metric in: 1 + 1")

    def test_labels(self):
        self.check('pgstate_queue_depth{le="1"}', "pgstate_queue_depth has no label le")
        self.check("sum by (le, job) (pgstate_queue_depth)", "by (le): pgstate_queue_depth has no label le")
        self.check("sum(pgstate_queue_depth) without (error_type)",
                   "without (error_type): pgstate_queue_depth has no label error_type")
        self.check(f"sum(rate({DURATION}_count[5m])) / sum by (error_type) (pgstate_queue_depth)",
                   "by (error_type): pgstate_queue_depth has no label error_type")
        self.check("pgstate_queue_depth + on (le) pgstate_queue_depth",
                   "on (le): pgstate_queue_depth has no label le")

    def test_labels_of_legends_and_annotations(self):
        self.check("sum by (job) (pgstate_queue_depth)", uses=["job"])
        self.check("sum by (job) (pgstate_queue_depth)",
                   "uses the label instance, which its expression does not give", uses=["instance"])
        self.check("pgstate_queue_depth", "uses the label le, which its expression does not give",
                   uses=["instance", "le"])

    def test_values(self):
        self.check(f'{DURATION}_count{{error_type!="",error_type=~"$e"}}')
        self.check(f'{DURATION}_count{{error_type!~"conflict|notfound|4001"}}',
                   f'{DURATION}_count: error_type is never "notfound"', f'{DURATION}_count: error_type is never "4001"')
        self.check('pgstate_io_bytes_total{network_io_direction="out"}',
                   'pgstate_io_bytes_total: network_io_direction is never "out"')

    def test_what_is_not_understood(self):
        self.check('{job="a"}', 'a selector without a metric\'s name: {job="a"}')
        self.check("sum by (job) pgstate_queue_depth", "by without an aggregation: sum by (job) pgstate_queue_depth")
        self.check("sum(pgstate_queue_depth) by (job", "unbalanced parentheses: sum(pgstate_queue_depth) by (job")
        self.check("pgstate_queue_depth{job",
                   "the labels of pgstate_queue_depth are not understood: pgstate_queue_depth{job")
        self.check("pgstate_queue_depth ?", "not understood from '?': pgstate_queue_depth ?")


class Dashboards(Case):
    def check(self, change, *expected):
        self.checker = check_dashboards.Checker(METRICS, set())
        dashboard = copy.deepcopy(GOOD)
        change(dashboard, dashboard["panels"])
        self.checker.dashboard("f", dashboard)
        self.found(*(f"f: {each}" for each in expected))

    def test_what_fits_is_accepted(self):
        self.check(lambda dashboard, panels: None)

    def test_each_panel_has_a_unit_and_a_description(self):
        self.check(lambda dashboard, panels: panels[0]["panels"][0].pop("description"), "Folded: has no description")
        self.check(lambda dashboard, panels: panels[1]["fieldConfig"]["defaults"].pop("unit"), "Times: has no unit")
        self.check(lambda dashboard, panels: panels[2].pop("options"), "Map: has no unit")
        self.check(lambda dashboard, panels: panels[2].update(id=3), "Map: the id 3 occurs twice")

    def test_each_instrument_is_shown(self):
        self.check(lambda dashboard, panels: panels.pop(2), "no panel shows db.client.connection.count")
        self.check(lambda dashboard, panels: panels[1]["targets"].pop(), "no panel shows pgstate.io")
        self.check(lambda dashboard, panels: panels[2]["targets"].clear(), "Map: has no query",
                   "no panel shows db.client.connection.count")

    def test_expressions_and_legends(self):
        self.check(lambda dashboard, panels: panels[2]["targets"].append({"expr": "up"}), "Map: there is no metric up")
        self.check(lambda dashboard, panels: panels[0]["panels"][0]["targets"][0].update(legendFormat="{{job}}"),
                   "Folded: uses the label job, which its expression does not give")

    def test_variables(self):
        self.check(lambda dashboard, panels: dashboard["templating"]["list"].pop(1),
                   "Times: there is no variable $operation")
        self.check(lambda dashboard, panels: dashboard["templating"]["list"][1].update(query="label_values(up, job)"),
                   "variable operation: there is no metric up")
        self.check(lambda dashboard, panels: dashboard["templating"]["list"][1].update(
                       query="label_values(pgstate_queue_depth, le)"),
                   "variable operation: uses the label le, which its expression does not give")
        self.check(lambda dashboard, panels: dashboard["templating"]["list"][1].update(query="metrics(.*)"),
                   "variable operation: is no label_values(metric, label): metrics(.*)")
        self.check(lambda dashboard, panels: dashboard["templating"]["list"][1].update(definition="other"),
                   "variable operation: its definition is another than its query: other")

    def test_no_data_source_of_one_grafana(self):
        self.check(lambda dashboard, panels: panels[2].update(datasource={"type": "prometheus", "uid": "P1"}),
                   "Map: the data source 'P1' is no variable of the dashboard")
        self.check(lambda dashboard, panels: panels[2].update(datasource={"type": "prometheus", "uid": "$operation"}),
                   "Map: the data source '$operation' is no variable of the dashboard")


class Alerts(Case):
    def check(self, old, new, *expected):
        self.assertIn(old, RULES)
        self.checker.found.clear()
        self.checker.alerts("f", RULES.replace(old, new))
        self.found(*(f"f: {each}" for each in expected))

    def test_the_rules_are_read(self):
        first, second = check_dashboards.read_rules(RULES)
        self.assertEqual((first["name"], first["for"], first["severity"]), ("Failing", "5m", "critical"))
        self.assertTrue(first["expr"].startswith("sum by (job) (\n") and first["expr"].strip().endswith(") > 1"))
        self.assertEqual(first["description"].strip(), "It fails,\nand fails.")
        self.assertEqual((second["name"], second["expr"]), ("Deep", "pgstate_queue_depth > 10"))

    def test_what_fits_is_accepted(self):
        self.check("", "")

    def test_what_does_not(self):
        self.check("pgstate_queue_depth", "pgstate_queue_length", "Deep: there is no metric pgstate_queue_length")
        self.check("not_found", "notfound", f'Failing: {DURATION}_count: error_type is never "notfound"')
        self.check("$labels.job", "$labels.instance",
                   "Failing: uses the label instance, which its expression does not give")
        self.check("It fails,", "pgstate_queue_depth, pgstate_queue and error_type of",
                   "Failing: speaks of pgstate_queue, which is neither a metric nor a label")
        self.check("          severity: warning\n", "", "Deep: has no severity")
        self.check("        expr: pgstate_queue_depth > 10\n", "", "Deep: has no expr")
        self.check(RULES, "groups: []\n", "no rules")
        with self.assertRaises(ValueError):
            check_dashboards.read_rules(RULES + "      - record: name\n        expr: up\n")


class Program(unittest.TestCase):
    def run_on(self, dashboard):
        script = Path(check_dashboards.__file__)
        with tempfile.TemporaryDirectory() as root:
            for name, text in ((check_dashboards.INSTRUMENTS, INSTRUMENTS), (check_dashboards.ERRORS, ERRORS),
                               (check_dashboards.DASHBOARD, dashboard), (check_dashboards.ALERTS, RULES)):
                path = Path(root) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            return subprocess.run([sys.executable, script, root], capture_output=True, text=True, check=False)

    def test_the_exit_status_says_whether_all_fits(self):
        run = self.run_on(json.dumps(GOOD))
        self.assertEqual((run.returncode, run.stderr), (0, ""))
        run = self.run_on(json.dumps(GOOD).replace("pgstate_queue_depth", "pgstate_queue_length"))
        self.assertEqual(run.returncode, 1)
        self.assertIn(f"{check_dashboards.DASHBOARD}: Folded: there is no metric pgstate_queue_length\n", run.stdout)
        self.assertIn("no panel shows pgstate.queue.depth\n", run.stdout)

    def test_a_file_that_is_no_dashboard(self):
        run = self.run_on("{")
        self.assertEqual(run.returncode, 1)
        self.assertTrue(run.stderr.startswith("check_dashboards: "))


if __name__ == "__main__":
    unittest.main()
