#!/usr/bin/env python3
"""Checks the dashboard and the alert rules against pgstate's instruments: check_dashboards.py [ROOT]

Derives the names and labels that Prometheus sees from src/telemetry/instruments.hpp, and the values of error_type from
include/pgstate/error.hpp. Prints each metric, label or value in docker/grafana/pgstate.json or
docker/prometheus/alerts.yml that does not exist, each panel without a unit or a description, and each instrument that
no panel shows; fails if there is one.
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

INSTRUMENTS = "src/telemetry/instruments.hpp"
ERRORS = "include/pgstate/error.hpp"
DASHBOARD = "docker/grafana/pgstate.json"
ALERTS = "docker/prometheus/alerts.yml"

COMMON_LABELS = {"db_system_name", "db_namespace"}
TARGET_LABELS = {"job", "instance"}  # Prometheus adds them to whatever it scrapes
POOL = re.compile(r"^(db\.client\.connection|pgstate\.connect)\.")


# ---- what there is


@dataclass
class Metric:
    instrument: str
    labels: set
    values: dict = field(default_factory=dict)  # label -> the values that it can have, where they are known


def read_instruments(text):
    """The metrics by their names in Prometheus; ValueError where the file is not understood."""
    declaration = re.compile(
        r"(?P<comment>(?:^[ \t]*///.*\n)*)"
        r"^inline constexpr instrument (?P<variable>\w+)\{"
        r'\s*"(?P<name>[^"]+)",\s*"(?P<unit>[^"]*)",\s*(?:"(?:[^"\\]|\\.)*"\s*)+,'
        r"\s*instrument_kind::(?P<kind>\w+)", re.M)
    found = list(declaration.finditer(text))
    declared = len(re.findall(r"\binstrument \w+\s*[{=]", text))
    if not found or len(found) != declared:
        raise ValueError(f"{INSTRUMENTS}: {declared} instruments are declared, {len(found)} understood")

    metrics = {}
    for each in found:
        name, unit, kind = each["name"], each["unit"], each["kind"]
        labels = COMMON_LABELS | TARGET_LABELS
        labels.add("db_client_connection_pool_name" if POOL.match(name) else "db_collection_name")
        values = {}
        comment = " ".join(line.strip().removeprefix("///").strip() for line in each["comment"].splitlines())
        of_labels = comment.partition("Labels:")[2]
        parts = re.split(r"\b([a-z_]+(?:\.[a-z_]+)+)", of_labels)
        for label, after in zip(parts[1::2], parts[2::2]):
            label = label.replace(".", "_")
            labels.add(label)
            if quoted := re.findall(r'"(\w+)"', after):
                values[label] = set(quoted)

        base = name.replace(".", "_")
        if unit in ("s", "By"):
            base += {"s": "_seconds", "By": "_bytes"}[unit]
        elif not re.fullmatch(r"\{\w+\}", unit):
            raise ValueError(f"{INSTRUMENTS}: {name} has the unit {unit!r}, for which no suffix is known")
        if kind == "counter":
            metrics[base + "_total"] = Metric(name, labels, values)
        elif kind == "gauge":
            metrics[base] = Metric(name, labels, values)
        elif kind == "histogram":
            metrics[base + "_bucket"] = Metric(name, labels | {"le"}, values)
            metrics[base + "_sum"] = metrics[base + "_count"] = Metric(name, labels, values)
        else:
            raise ValueError(f"{INSTRUMENTS}: {name} is of the kind {kind!r}, which is not known")
    return metrics


def read_errors(text):
    """The names of errc, and what else error_type can be apart from an SQLSTATE."""
    body = re.search(r"enum class errc[^{]*\{(.*?)\}", text, re.S)
    names = re.findall(r"^\s*(\w+)\s*(?:=\s*\d+\s*)?,", body[1], re.M) if body else []
    if not names:
        raise ValueError(f"{ERRORS}: no errc found")
    return {*names, "cancelled", "_OTHER"}


# ---- expressions

TOKEN = re.compile(r"""
    (?P<space>\s+|\#[^\n]*)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)
  | (?P<range>\[[^\]]*\])
  | (?P<variable>\$\{?\w+\}?)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?:[smhdwy]|ms)*(?:\d+(?:ms|[smhdwy]))*)
  | (?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
  | (?P<operator>=~|!~|!=|==|<=|>=|[-+*/%^<>=(){},@])
""", re.X)
WORDS = {"and", "or", "unless", "bool", "offset", "atan2", "inf", "nan"}
GROUPING = {"by", "without", "on", "ignoring", "group_left", "group_right"}


def tokens_of(expression):
    tokens, at = [], 0
    while at < len(expression):
        token = TOKEN.match(expression, at)
        if not token:
            raise ValueError(f"not understood from {expression[at:at + 20]!r}")
        if token.lastgroup != "space":
            tokens.append((token.lastgroup, token[0]))
        at = token.end()
    return tokens


def matching(tokens, at, step):
    """The index of the parenthesis that belongs to the one at `at`."""
    depth = 0
    while 0 <= at < len(tokens):
        depth += {"(": 1, ")": -1}.get(tokens[at][1], 0)
        if depth == 0:
            return at
        at += step
    raise ValueError("unbalanced parentheses")


@dataclass
class Expression:
    selectors: list = field(default_factory=list)  # (index, metric, [(label, operator, value)])
    groups: list = field(default_factory=list)  # (word, labels, first and last index of what it acts on)


def parse(text):
    """The selectors and the groupings of a PromQL expression. It is not validated otherwise."""
    tokens = tokens_of(text)
    found, at = Expression(), 0

    def peek(index):
        return tokens[index][1] if 0 <= index < len(tokens) else ""

    while at < len(tokens):
        kind, word = tokens[at]
        if word == "{":
            raise ValueError("a selector without a metric's name")
        if kind != "name" or word.lower() in WORDS:
            at += 1
        elif word.lower() in GROUPING:
            if peek(at + 1) != "(":
                at += 1  # group_left without labels
                continue
            end = matching(tokens, at + 1, 1)
            labels = [token for kind, token in tokens[at + 2:end] if kind == "name"]
            if word.lower() not in ("by", "without"):
                span = (0, len(tokens))
            elif peek(end + 1) == "(":  # sum by (label) (...)
                span = (end + 1, matching(tokens, end + 1, 1))
            elif peek(at - 1) == ")":  # sum(...) by (label)
                span = (matching(tokens, at - 1, -1), at - 1)
            else:
                raise ValueError(f"{word} without an aggregation")
            found.groups.append((word.lower(), labels, span))
            at = end + 1
        elif peek(at + 1) == "(" or peek(at + 1).lower() in ("by", "without"):
            at += 1  # a function or an aggregation
        else:
            matchers, start = [], at
            at += 1
            if peek(at) == "{":
                at += 1
                while peek(at) != "}":
                    if at + 2 >= len(tokens) or tokens[at][0] != "name" or tokens[at + 2][0] != "string":
                        raise ValueError(f"the labels of {word} are not understood")
                    matchers.append((tokens[at][1], tokens[at + 1][1], tokens[at + 2][1][1:-1]))
                    at += 3
                    if peek(at) == ",":
                        at += 1
                at += 1
            found.selectors.append((start, word, matchers))
    return found


class Checker:
    def __init__(self, metrics, errors):
        self.metrics, self.errors = metrics, errors
        self.found = []
        self.shown = set()  # instruments
        # What a text may speak of: metrics, histograms without a suffix, labels.
        self.words = {*metrics, *(name.removesuffix("_bucket") for name in metrics),
                      *(label for metric in metrics.values() for label in metric.labels)}

    def report(self, where, what):
        self.found.append(f"{where}: {what}")

    def expression(self, where, text, uses_labels=()):
        """Checks an expression and the labels that its legend or annotations use. Returns the instruments in it."""
        try:
            parsed = parse(text)
        except ValueError as failure:
            self.report(where, f"{failure}: {text.strip()}")
            return set()
        if not parsed.selectors:
            self.report(where, f"no metric in: {text.strip()}")

        known = []
        for at, name, matchers in parsed.selectors:
            metric = self.metrics.get(name)
            if not metric:
                self.report(where, f"there is no metric {name}")
                continue
            known.append((at, name, metric))
            for label, operator, value in matchers:
                self.matcher(where, name, metric, label, operator, value)

        if len(known) == len(parsed.selectors):
            for word, labels, (first, last) in parsed.groups:
                inside = [(name, metric) for at, name, metric in known if first <= at <= last]
                for label in labels:
                    without = [name for name, metric in inside if label not in metric.labels]
                    # An aggregation wants the label in all that it adds up; a match of two sides in one of them.
                    if without and (word in ("by", "without") or len(without) == len(inside)):
                        self.report(where, f"{word} ({label}): {without[0]} has no label {label}")
            kept = [set(labels) for word, labels, _ in parsed.groups if word == "by"]
            if not kept:
                kept = [metric.labels for _, _, metric in known]
            for label in uses_labels:
                if not any(label in labels for labels in kept):
                    self.report(where, f"uses the label {label}, which its expression does not give")
        return {metric.instrument for _, _, metric in known}

    def matcher(self, where, name, metric, label, operator, value):
        if label not in metric.labels:
            self.report(where, f"{name} has no label {label}")
        elif "$" in value or value in ("", ".*", ".+"):
            pass
        elif label == "error_type" or label in metric.values:
            for each in value.split("|") if "~" in operator else [value]:
                if label in metric.values:
                    right = each in metric.values[label]
                else:
                    right = each in self.errors or re.fullmatch(r"[0-9A-Z]{5}", each)
                if not right:
                    self.report(where, f'{name}: {label} is never "{each}"')

    # ---- the dashboard

    def dashboard(self, file, dashboard):
        variables = {each["name"]: each for each in dashboard.get("templating", {}).get("list", [])}
        for name, each in variables.items():
            where = f"{file}: variable {name}"
            self.datasource(where, each, variables)
            if each.get("type") != "query":
                continue
            query = each["query"]["query"] if isinstance(each["query"], dict) else each["query"]
            self.variables(where, query, variables)
            if each.get("definition", query) != query:
                self.report(where, f"its definition is another than its query: {each['definition']}")
            values = re.fullmatch(r"\s*label_values\((.*),\s*(\w+)\s*\)\s*", query, re.S)
            if values:
                self.expression(where, values[1], [values[2]])
            else:
                self.report(where, f"is no label_values(metric, label): {query}")

        panels = list(dashboard.get("panels", []))
        if not panels:
            self.report(file, "no panels")
        identifiers = set()
        while panels:
            panel = panels.pop(0)
            if panel.get("id") in identifiers:
                self.report(f"{file}: {panel.get('title')}", f"the id {panel.get('id')} occurs twice")
            identifiers.add(panel.get("id"))
            if panel.get("type") == "row":
                panels[:0] = panel.get("panels", [])  # a collapsed row has its panels in it
            else:
                self.panel(f"{file}: {panel.get('title') or 'a panel without a title'}", panel, variables)

        for instrument in sorted({metric.instrument for metric in self.metrics.values()} - self.shown):
            self.report(file, f"no panel shows {instrument}")

    def panel(self, where, panel, variables):
        if panel.get("type") == "text":
            return
        if not panel.get("description", "").strip():
            self.report(where, "has no description")
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
        if panel.get("type") == "heatmap":
            unit = panel.get("options", {}).get("yAxis", {}).get("unit")
        if not unit:
            self.report(where, "has no unit")
        self.datasource(where, panel, variables)
        if not panel.get("targets"):
            self.report(where, "has no query")
        for target in panel.get("targets", []):
            self.datasource(where, target, variables)
            self.variables(where, target["expr"], variables)
            legend = re.findall(r"\{\{\s*(\w+)\s*\}\}", target.get("legendFormat", ""))
            self.shown |= self.expression(where, target["expr"], legend)

    def datasource(self, where, what, variables):
        """The data source is one of the variables, not that of one Grafana."""
        if "datasource" not in what:
            return
        source = what["datasource"]
        identifier = source.get("uid", "") if isinstance(source, dict) else str(source)
        variable = re.fullmatch(r"\$\{?(\w+)\}?", identifier)
        if not variable or variables.get(variable[1], {}).get("type") != "datasource":
            self.report(where, f"the data source {identifier!r} is no variable of the dashboard")

    def variables(self, where, text, variables):
        for name in re.findall(r"\$\{?(\w+)", text):
            if name not in variables and not name.startswith("__"):
                self.report(where, f"there is no variable ${name}")

    # ---- the alert rules

    def alerts(self, file, text):
        rules = read_rules(text)
        if not rules:
            self.report(file, "no rules")
        for rule in rules:
            where = f"{file}: {rule['name']}"
            for key in ("expr", "for", "severity", "summary", "description"):
                if not rule.get(key, "").strip():
                    self.report(where, f"has no {key}")
            prose = rule.get("summary", "") + "\n" + rule.get("description", "")
            labels = re.findall(r"\$labels\.(\w+)", prose)
            for name in re.findall(r"(?<!\.)\b(?:db|pgstate|error|network)_\w+", prose):
                if name not in self.words:
                    self.report(where, f"speaks of {name}, which is neither a metric nor a label")
            if rule.get("expr"):
                self.expression(where, rule["expr"], dict.fromkeys(labels))


def read_rules(text):
    """The alert rules of a YAML file whose keys each have a line of their own, with plain, quoted or block values."""
    rules, lines, at = [], text.splitlines(), 0
    while at < len(lines):
        key = re.match(r"^(\s*(?:- )?)(\w+):\s*(.*)$", lines[at])
        at += 1
        if not key:
            continue
        indent, name, value = len(key[1]), key[2], key[3]
        if re.fullmatch(r"[|>][-+]?", value):
            block = []
            while at < len(lines) and (not lines[at].strip() or len(lines[at]) - len(lines[at].lstrip()) > indent):
                block.append(lines[at].strip())
                at += 1
            value = "\n".join(block)
        elif value[:1] in ("'", '"') and value[-1:] == value[:1]:
            value = value[1:-1]
        if name == "record":
            raise ValueError(f"{ALERTS}: {value}: recorded metrics are not known here")
        if name == "alert":
            rules.append({"name": value})
        elif rules:
            rules[-1][name] = value
    return rules


def check(root):
    """Everything that is wrong, as lines."""
    root = Path(root)
    checker = Checker(read_instruments((root / INSTRUMENTS).read_text(encoding="utf-8")),
                      read_errors((root / ERRORS).read_text(encoding="utf-8")))
    checker.dashboard(DASHBOARD, json.loads((root / DASHBOARD).read_text(encoding="utf-8")))
    checker.alerts(ALERTS, (root / ALERTS).read_text(encoding="utf-8"))
    return checker.found


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:] in (["-h"], ["--help"]):
        sys.exit(__doc__)
    try:
        wrong = check(sys.argv[1] if len(sys.argv) == 2 else Path(__file__).resolve().parent.parent)
    except (OSError, ValueError, KeyError) as failure:
        sys.exit(f"check_dashboards: {failure}")
    print("\n".join(wrong) if wrong else "The dashboard and the alert rules fit the instruments.")
    sys.exit(1 if wrong else 0)
