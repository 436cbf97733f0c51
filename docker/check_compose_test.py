#!/usr/bin/env python3
"""Tests check_compose.py: python3 docker/check_compose_test.py"""

import shutil
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import check_compose

DOCKER = Path(__file__).parent
FILES = ["compose.yaml", "Dockerfile", ".env.example", "prometheus/targets.yml"]


class Fault(unittest.TestCase):
    """The real files, with one fault each."""

    def found(self, file=None, old=None, new=None):
        with tempfile.TemporaryDirectory() as folder:
            for name in FILES:
                copy = Path(folder, name)
                copy.parent.mkdir(exist_ok=True)
                shutil.copy(DOCKER / name, copy)
            if file:
                path = Path(folder, file)
                text = path.read_text(encoding="utf-8")
                self.assertIn(old, text)
                path.write_text(text.replace(old, new, 1), encoding="utf-8")
            return list(check_compose.check(folder))

    def assert_found(self, message, file, old, new):
        self.assertEqual(self.found(file, old, new), [message])

    def test_none(self):
        self.assertEqual(self.found(), [])

    def test_services_are_seen(self):
        services = check_compose.services_of((DOCKER / "compose.yaml").read_text(encoding="utf-8"))
        self.assertEqual(list(services), ["postgres", "session_server", "prometheus", "grafana"])
        self.assertEqual(check_compose.section_of(services["session_server"], "read_only"), "read_only: true")

    def test_variable_that_is_not_in_the_example(self):
        self.assert_found("GRAFANA_PORT is not in .env.example", ".env.example", "#GRAFANA_PORT=3000\n", "")

    def test_variable_that_is_not_used(self):
        self.assert_found("OLD of .env.example is not used in compose.yaml", ".env.example", "#POSTGRES_DB",
                          "#OLD=1\n#POSTGRES_DB")

    def test_other_default(self):
        self.assert_found("the default of GRAFANA_PORT is '3000' in compose.yaml, '3001' in .env.example",
                          ".env.example", "#GRAFANA_PORT=3000", "#GRAFANA_PORT=3001")

    def test_variable_without_default(self):
        self.assertIn("GRAFANA_PORT has neither a default nor an error that asks for it",
                      self.found("compose.yaml", "${GRAFANA_PORT:-3000}", "${GRAFANA_PORT}"))

    def test_no_restart(self):
        self.assert_found("postgres does not start again", "compose.yaml", "    restart: unless-stopped\n", "")

    def test_no_health_check(self):
        self.assert_found("postgres has no health check", "compose.yaml", "    healthcheck:", "    x-healthcheck:")

    def test_image_without_health_check(self):
        self.assert_found("session_server has no health check", "Dockerfile", "\nHEALTHCHECK ", "\n# HEALTHCHECK ")

    def test_open_port(self):
        self.assert_found(
            'grafana opens "${GRAFANA_PORT:-3000}:3000", which is not a port of this machine alone that .env can set',
            "compose.yaml", "127.0.0.1:${GRAFANA_PORT", "${GRAFANA_PORT")

    def test_image_without_version(self):
        self.assert_found("grafana's image has no version", "compose.yaml", "grafana/grafana:10.4.2", "grafana/grafana")

    def test_waiting_for_the_start_alone(self):
        self.assert_found("grafana does not wait until prometheus is healthy", "compose.yaml",
                          "      prometheus:\n        condition: service_healthy", "      - prometheus")

    def test_root(self):
        self.assert_found("the image's user is not given by number, or is root", "Dockerfile", "USER 10001:10001",
                          "USER root")

    def test_writable(self):
        self.assert_found("session_server lacks read_only: true", "compose.yaml", "    read_only: true\n", "")

    def test_not_scraped(self):
        self.assert_found("Prometheus does not scrape session_server at the port that the image exposes",
                          "Dockerfile", "EXPOSE 8080", "EXPOSE 8081")


if __name__ == "__main__":
    unittest.main()
