#!/usr/bin/env python3
"""Tests of session_server as its clients see it; each answer is checked against openapi.json.

Usage: test_server.py SESSION_SERVER EMBEDDED_POSTGRES [unittest option...]
"""
import contextlib
import http.client
import json
import math
import os
import random
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import jsonschema

HERE = Path(__file__).resolve().parent
DOCUMENT = json.loads((HERE / "openapi.json").read_text(encoding="utf-8"))
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/merge-patch+json"}
PATIENCE = 60  # seconds; nothing here takes as long unless it is broken


def wait_for(condition, what):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} after {PATIENCE} s")
        time.sleep(0.01)
    return found


class Process:
    """A program that writes a file once it can be used."""

    def __init__(self, arguments, ready_file):
        self.log_file = tempfile.TemporaryFile("w+", encoding="utf-8")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SESSION_SERVER_") and k != "DATABASE_URL"}
        self.process = subprocess.Popen(arguments, stderr=self.log_file, stdout=subprocess.DEVNULL, env=environment)
        try:
            wait_for(lambda: ready_file.exists() or self.process.poll() is not None, str(ready_file))
            if self.process.poll() is not None:
                raise RuntimeError(f"{arguments[0]} ended with {self.process.returncode}: {self.log()}")
        except BaseException:
            self.process.kill()
            self.process.wait()
            self.log_file.close()
            raise
        self.said = ready_file.read_text(encoding="utf-8").strip()

    def log(self):
        self.log_file.seek(0)
        return self.log_file.read()

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def wait(self):
        return self.process.wait(PATIENCE)

    def stop(self):
        if self.process.poll() is None:
            self.signal()
        code = self.wait()
        self.log_file.close()
        return code


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def etag(self):
        return self.headers["ETag"]


def schema_errors(schema, value):
    whole = {**schema, "components": DOCUMENT["components"]}
    return [e.message for e in jsonschema.Draft202012Validator(whole).iter_errors(value)]


def resolve(node):
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def documented_operation(method, target):
    """The operation and the path's item; None for what the document does not have."""
    for template, item in DOCUMENT["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]*", template), target.split("?")[0]):
            return item.get("get" if method == "HEAD" else method.lower()), item
    return None, None


def check_problem(answer):
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers
    errors = schema_errors({"$ref": "#/components/schemas/Problem"}, answer.json)
    assert not errors and answer.json["status"] == answer.status, (errors, answer.json)
    assert answer.json["instance"] == "urn:x-request-id:" + answer.headers["X-Request-Id"], answer.json


def check_documented(method, target, answer):
    operation, item = documented_operation(method, target)
    where = f"{method} {target}: {answer.status}"
    if method != "HEAD" and answer.status >= 400:
        check_problem(answer)
    if item is None:
        assert answer.status in (400, 404), where
        return
    if operation is None:
        allowed = set(answer.headers["Allow"].split(", "))
        known = {m.upper() for m in item if m != "parameters"}
        assert answer.status == 405 and allowed == known | ({"HEAD"} if "GET" in known else set()), where
        return
    assert str(answer.status) in operation["responses"], where + " is not documented"
    response = resolve(operation["responses"][str(answer.status)])
    assert (answer.status in (204, 304)) == ("Content-Length" not in answer.headers), where
    for name, header in response["headers"].items():
        header, value = resolve(header), answer.headers.get(name)
        assert value is not None or not header.get("required"), f"{where}: no {name}"
        assert value is None or not schema_errors(header["schema"], value), f"{where}: {name}: {value}"
    if method == "HEAD" or "content" not in response:
        assert answer.body == b"", where
        return
    (media_type, content), = response["content"].items()
    assert answer.headers["Content-Type"].split(";")[0] == media_type, where
    value = answer.body.decode() if media_type == "text/plain" else answer.json
    assert not schema_errors(content["schema"], value), (where, schema_errors(content["schema"], value))


class Client:
    """A kept connection. Checks every answer."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def __call__(self, method, target, body=None, headers=None):
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        if headers is None:
            headers = PATCH if method == "PATCH" else JSON if body is not None else {}
        elif body is not None and "Content-Type" not in headers:
            headers = {**(PATCH if method == "PATCH" else JSON), **headers}
        self.connection.request(method, target, body, headers)
        received = self.connection.getresponse()
        answer = Answer(received.status, received.headers, received.read())
        check_documented(method, target, answer)
        return answer

    def close(self):
        self.connection.close()


class Server(Process):
    def __init__(self, *arguments):
        self.directory = tempfile.TemporaryDirectory()
        port_file = Path(self.directory.name) / "port"
        try:
            super().__init__([SERVER, "--listen", "127.0.0.1:0", "--port-file", port_file, *arguments], port_file)
        except BaseException:
            self.directory.cleanup()
            raise
        self.port = int(self.said)

    def client(self):
        return Client(self.port)

    def raw(self, sent, shut=False):
        """Sends bytes, and gives all that comes until the server closes."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as s:
            s.sendall(sent)
            if shut:
                s.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: s.recv(65536), b""))

    def raw_answer(self, sent):
        head, _, body = self.raw(sent).partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = http.client.HTTPMessage()
        for line in lines:
            headers.add_header(*line.split(": ", 1))
        return Answer(int(first.split()[1]), headers, body)

    def stop(self):
        code = super().stop()
        self.directory.cleanup()
        return code


class Database:
    """A PostgreSQL that can be stopped and started under the servers' feet."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(dir="/tmp")
        os.chmod(self.directory, 0o755)
        url_file = Path(self.directory) / "url"
        self.keeper = Process([EMBEDDED_POSTGRES, "--data", self.directory + "/data", "--url-file", url_file], url_file)
        self.url = self.keeper.said
        self.data = Path(self.directory) / "data"
        self.command = Path(f"/proc/{self.pid()}/cmdline").read_text(encoding="utf-8").rstrip("\0").split("\0")
        self.started = None

    def pid(self):
        return int((self.data / "postmaster.pid").read_text(encoding="utf-8").split()[0])

    def stop(self):
        os.kill(self.pid(), signal.SIGINT)
        if self.started:
            self.started.wait(PATIENCE)
            self.started = None
        wait_for(lambda: not (self.data / "postmaster.pid").exists(), "end of PostgreSQL")

    def start(self):
        owner = self.data.stat()
        identity = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        self.started = subprocess.Popen(self.command, cwd=self.data, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, **identity)

    @contextlib.contextmanager
    def hanging(self):
        """Meanwhile it takes connections and answers none."""
        children = Path(f"/proc/{self.pid()}/task/{self.pid()}/children").read_text(encoding="utf-8")
        processes = [self.pid(), *map(int, children.split())]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)

    def lock(self, table="agent_states"):
        return TableLock(self, table)

    def close(self):
        if self.started:
            self.stop()
        self.keeper.stop()
        shutil.rmtree(self.directory)


class TableLock:
    """Keeps every statement about a table waiting, for as long as the with-block lasts."""

    def __init__(self, database, table):
        self.psql = subprocess.Popen([Path(database.command[0]).parent / "psql", "-XqAt", database.url], text=True,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.table = table

    def __enter__(self):
        self.psql.stdin.write(f"BEGIN; LOCK TABLE {self.table};\n\\echo locked\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline() == "locked\n"
        return self

    def release(self):
        self.psql.stdin.close()
        self.psql.wait(PATIENCE)
        self.psql.stdout.close()

    def __exit__(self, *_):
        if not self.psql.stdin.closed:
            self.release()


class InBackground:
    """A call in a thread of its own."""

    def __init__(self, function, *arguments):
        self.result = self.failure = None
        self.thread = threading.Thread(target=self._run, args=(function, arguments))
        self.thread.start()

    def _run(self, function, arguments):
        try:
            self.result = function(*arguments)
        except Exception as e:  # handed to who asks for the result
            self.failure = e

    def get(self):
        self.thread.join(PATIENCE)
        if self.failure:
            raise self.failure
        return self.result


def path(agent, session=None):
    whole = f"/agents/{quote(agent, safe='')}/sessions"
    return whole if session is None else f"{whole}/{quote(session, safe='')}"


class Sessions(unittest.TestCase):
    """What does not disturb others, on one server with a database of its own."""

    @classmethod
    def setUpClass(cls):
        cls.server = Server("--embedded", "--threads", "2")

    @classmethod
    def tearDownClass(cls):
        code = cls.server.stop()
        assert code == 0, code

    def setUp(self):
        self.agent = self.id().rsplit(".", 1)[1]
        self.at = path(self.agent, "s")
        self.ask = self.server.client()
        self.addCleanup(self.ask.close)

    def status(self, expected, *request, type=None):
        answer = self.ask(*request)
        self.assertEqual(answer.status, expected, answer.body)
        if type:
            self.assertEqual(answer.json["type"], type)
        return answer

    def test_life_of_a_session(self):
        content = {"data": {"n": 9007199254740993, "x": 0.1}, "context": {"k": [None, True]}, "of_others": {"a": 1},
                   "history": [{"role": "user", "content": "é\n", "timestamp": "2026-01-31T13:30:00.25+01:30", "note": 1,
                                "metadata": {"m": 2}}]}
        made = self.status(201, "PUT", self.at, content)
        self.assertEqual(made.headers["Location"], self.at)
        got = self.status(200, "GET", self.at)
        self.assertEqual(got.etag, made.etag)
        expected = {**content, **made.json}
        expected["history"][0]["timestamp"] = "2026-01-31T12:00:00.250000Z"
        self.assertEqual(got.json, expected)

        replaced = self.status(200, "PUT", self.at, got.body, {"If-Match": got.etag})
        self.assertGreater(replaced.json["version"], made.json["version"])
        again = self.status(200, "GET", self.at).json
        for decided_by_server in ("version", "updated_at"):
            expected[decided_by_server] = again[decided_by_server]
        self.assertEqual(again, expected)
        self.status(204, "DELETE", self.at)
        self.status(404, "DELETE", self.at, type="urn:pgstate:problem:not-found")
        self.status(404, "GET", self.at, type="urn:pgstate:problem:not-found")

    def test_conditions(self):
        self.status(412, "PUT", self.at, {}, {"If-Match": "*"})
        self.status(412, "PUT", self.at, {}, {"If-Match": '"5"'})
        made = self.status(201, "PUT", self.at, {}, {"If-None-Match": "*"})
        for wrong in ({"If-None-Match": "*"}, {"If-Match": '"5"'}, {"If-Match": "W/" + made.etag}, {"If-Match": '"x"'}):
            refused = self.status(412, "PUT", self.at, {}, wrong, type="urn:pgstate:problem:conflict")
            self.assertEqual((refused.etag, refused.json["current_version"]), (made.etag, made.json["version"]))
        for unusable in ({"If-None-Match": made.etag}, {"If-Match": '"1", "2"'}, {"If-Match": "1"}, {"If-Match": '"'},
                         {"If-None-Match": "*", "If-Match": made.etag}):
            self.status(400, "PUT", self.at, {}, unusable)
        self.status(200, "PUT", self.at, {"data": {"kept": 1}}, {"If-Match": "*"})
        self.status(412, "PATCH", self.at, {}, {"If-Match": made.etag})
        self.status(412, "PATCH", self.at, {"data": {"a": {}}}, {"If-Match": made.etag})
        self.status(412, "POST", self.at + "/messages", {"role": "a", "content": "b"}, {"If-Match": made.etag})
        self.status(412, "DELETE", self.at, None, {"If-Match": made.etag})
        now = self.status(200, "GET", self.at)
        self.assertEqual(now.json["data"], {"kept": 1})
        patched = self.status(200, "PATCH", self.at, {"data": {"a": {"b": 1}}}, {"If-Match": now.etag})
        appended = self.status(200, "POST", self.at + "/messages", {"role": "a", "content": "b"}, {"If-Match": patched.etag})
        self.status(204, "DELETE", self.at, None, {"If-Match": appended.etag})
        for condition in ({"If-Match": "*"}, {"If-Match": appended.etag}):
            self.status(412, "DELETE", self.at, None, condition)
            self.status(412, "GET", self.at, None, condition)
            self.status(412, "PATCH", self.at, {}, condition)

    def test_not_modified_and_head(self):
        etag = self.status(201, "PUT", self.at, {}).etag
        for known in (etag, "W/" + etag, f'"1", {etag}', "*"):
            self.status(304, "GET", self.at, None, {"If-None-Match": known})
            self.status(304, "HEAD", self.at, None, {"If-None-Match": known})
        self.status(200, "GET", self.at, None, {"If-None-Match": '"1"'})
        self.status(200, "GET", self.at, None, {"If-Match": f'"1", {etag}'})
        self.status(412, "GET", self.at, None, {"If-Match": '"1"'})
        full, head = self.status(200, "GET", self.at), self.status(200, "HEAD", self.at)
        self.assertEqual(head.headers["Content-Length"], str(len(full.body)))
        self.status(404, "HEAD", path(self.agent, "none"))
        self.status(404, "GET", path(self.agent, "none"), None, {"If-None-Match": etag})

    def test_patch(self):
        self.status(404, "PATCH", self.at, {"data": {"a": 1}})
        self.status(404, "PATCH", self.at, {"data": {"a": {"b": 1}}})
        self.status(201, "PUT", self.at, {"data": {"a": 1, "o": {"b": 2, "c": 3}}, "context": {"u": [1]}})
        self.status(200, "PATCH", self.at, {"data": {"a": None, "none": None, "n": [1, None]}})
        self.status(200, "PATCH", self.at, {"data": {"o": {"b": None, "d": {"e": 4, "none": None}}, "new": {"x": {"y": None}}},
                                            "context": {"u": {"v": 1}}})
        got = self.status(200, "GET", self.at).json
        self.assertEqual(got["data"], {"n": [1, None], "o": {"c": 3, "d": {"e": 4}}, "new": {"x": {}}})
        self.assertEqual(got["context"], {"u": {"v": 1}})
        for refused in ({"history": []}, {"data": None}, {"data": 1}, [], 1):
            self.status(422, "PATCH", self.at, json.dumps(refused))

    def test_patches_at_once_lose_nothing(self):
        self.status(201, "PUT", self.at, {"data": {"o": {}}})

        def patch(number):
            ask = self.server.client()
            while ask("PATCH", self.at, {"data": {"o": {str(number): number}}}).status == 409:
                pass
            ask.close()

        for thread in [InBackground(patch, n) for n in range(8)]:
            thread.get()
        self.assertEqual(self.status(200, "GET", self.at).json["data"]["o"], {str(n): n for n in range(8)})

    def test_append(self):
        messages = self.at + "/messages"
        self.status(404, "POST", messages, {"role": "user", "content": "1"}, type="urn:pgstate:problem:not-found")
        self.status(404, "POST", messages + "?create=false", {"role": "user", "content": "1"})
        self.status(201, "POST", messages + "?create=true", {"role": "user", "content": "1"})
        self.status(200, "POST", messages, [{"role": "assistant", "content": "2"}, {"role": "user", "content": "3"}])
        self.assertEqual([m["content"] for m in self.status(200, "GET", self.at).json["history"]], ["1", "2", "3"])
        for refused in ([], {}, {"role": "user"}, {"role": 1, "content": ""}, [1], {"role": "", "content": "", "timestamp": "x"}):
            self.status(422, "POST", messages, refused)
        self.status(400, "POST", messages + "?create=yes", {"role": "user", "content": "1"})
        self.status(400, "POST", messages + "?create=true", {"role": "user", "content": "1"}, {"If-Match": "*"})

    def test_pages(self):
        names = [f"s {n}" for n in range(7)]
        for name in names:
            self.status(201, "PUT", path(self.agent, name), {})
        seen, pages, target = [], 0, path(self.agent) + "?limit=3"
        while target:
            page = self.status(200, "GET", target)
            pages += 1
            seen += [session["session_id"] for session in page.json["sessions"]]
            link = page.headers["Link"]
            target = link[1:link.index(">")] if link else None
            self.assertEqual(page.json["next"] is None, target is None)
        self.assertEqual((seen, pages), (names[::-1], 3))
        self.assertEqual(self.status(200, "GET", path("nobody")).json, {"sessions": [], "next": None})
        for refused in ("limit=0", "limit=1001", "limit=x", "after=x", "limit=1&limit=2", "unknown=1", "limit=%zz"):
            self.status(400, "GET", path(self.agent) + "?" + refused)

    def test_any_key(self):
        for agent, session in (("a/b c", "é/ü?#"), ("%2F", "+&="), ("日本", "..")):
            self.status(201, "PUT", path(agent, session), {})
            got = self.status(200, "GET", path(agent, session)).json
            self.assertEqual((got["agent_id"], got["session_id"]), (agent, session))
        for refused in ("/agents//sessions/s", "/agents/%FF/sessions/s", "/agents/%00/sessions/s", "/agents/%2/sessions/s",
                        "/agents/%zz/sessions/s", path("a" * 2000, "b" * 700)):
            self.status(400, "GET", refused)
        self.status(422, "PUT", self.at, {"agent_id": "another"})

    def test_refused_content(self):
        for text in ("", "{", '{"a": 1,}', '{"data": {}} x', '{"data": {"a": "\\ud800"}}', "[" * 600, b'{"data": {"a": "\xff"}}'):
            self.status(400, "PUT", self.at, text)
        for refused in ([], "x", {"data": []}, {"history": {}}, {"history": [{"role": "user"}]}, {"data": {"a": "\0"}},
                        {"history": [{"role": "a", "content": "b", "timestamp": "2026-02-30T00:00:00Z"}]}):
            self.status(422, "PUT", self.at, json.dumps(refused))
        self.assertIn("history[0].content", self.status(422, "PUT", self.at, {"history": [{"role": "user"}]}).json["detail"])
        for media_type in ("text/plain", "application/merge-patch+json", "application/jsonx"):
            refused = self.status(415, "PUT", self.at, "{}", {"Content-Type": media_type})
            self.assertEqual(refused.headers["Accept"], "application/json")
        refused = self.status(415, "PATCH", self.at, "{}", JSON)
        self.assertEqual(refused.headers["Accept-Patch"], "application/merge-patch+json")
        self.status(415, "PUT", self.at, "{}", {"Content-Encoding": "gzip"})
        self.status(404, "GET", self.at)

    def test_numbers(self):
        """What was put is what a GET gives, to the last digit, or it is refused."""
        def put(number):
            return self.ask("PUT", self.at, '{"data": {"x": [%s]}}' % number)

        def exact(text):
            return json.loads(text, parse_float=Decimal, parse_int=Decimal)["data"]["x"]

        for number in ("0", "-1", "9223372036854775807", "-9223372036854775808", "18446744073709551615", "0.1", "0.30000000000000004",
                       "123456.79", "1e2", "1.50", "1E+20", "0.1e1", "100000000000000000000", "1.7976931348623157e308", "5e-324",
                       "2.2250738585072014e-308", "0.0000001", "-0.0", "0e5", "4.35", "9007199254740993", "1.0000000000000002"):
            self.assertIn(put(number).status, (200, 201), number)
            self.assertEqual(exact(self.status(200, "GET", self.at).body), [Decimal(number)])
        before = self.status(200, "GET", self.at)
        for number in ("18446744073709551616", "-9223372036854775809", "123456789012345678901234567890", "1e309", "-1e309", "1e400",
                       "1e999999999999", "1e-400", "4e-324", "0.1000000000000000055511151231257827", "3.14159265358979323846",
                       "9007199254740993.0", "0.30000000000000000000004", "1.00000000000000001"):
            refused = put(number)
            self.assertEqual(refused.status, 400, number)
            self.assertNotIn(number, refused.body.decode())
            self.status(400, "PATCH", self.at, '{"context": {"x": %s}}' % number)
            self.status(400, "POST", self.at + "/messages", '{"role": "a", "content": "b", "metadata": {"x": %s}}' % number)
        self.assertEqual(self.status(200, "GET", self.at).body, before.body)

    def test_random_doubles(self):
        doubles = [x for x in struct.unpack("<2000d", random.Random(1).randbytes(16_000)) if math.isfinite(x)]
        self.status(201, "PUT", self.at, {"data": {"x": doubles}})
        self.assertEqual(self.status(200, "GET", self.at).json["data"]["x"], doubles)

    def test_accept(self):
        self.status(201, "PUT", self.at, "{}", {"Content-Type": "Application/JSON; charset=utf-8"})
        for accepted in ("*/*", "application/*", "text/html, application/json;q=0.5", "application/json, */*;q=0"):
            self.status(200, "GET", self.at, None, {"Accept": accepted})
        for refused in ("text/html", "application/json;q=0, */*", "*/*;q=0.0"):
            self.status(406, "GET", self.at, None, {"Accept": refused})

    def test_unknown_paths_and_methods(self):
        for target in ("/", "/agents", "/agents/a", "/agents/a/sessions/", "/agents/a/sessions/b/c", "/healthz/", "/Healthz"):
            self.status(404 if target != "/agents/a/sessions/" else 400, "GET", target)
        for method, target in (("POST", self.at), ("BREW", self.at), ("PUT", path("a")), ("GET", self.at + "/messages"),
                               ("DELETE", "/metrics"), ("OPTIONS", "/healthz")):
            self.status(405, method, target)

    def test_request_ids(self):
        for given in ("abc-1._~", "x" * 128):
            self.assertEqual(self.ask("GET", "/healthz", None, {"X-Request-Id": given}).headers["X-Request-Id"], given)
        for given in ("", "a b", "x" * 129, 'a"'):
            made = self.ask("GET", "/healthz", None, {"X-Request-Id": given}).headers["X-Request-Id"]
            self.assertRegex(made, "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")

    def test_requests_in_a_row(self):
        """Two that are sent at once are answered one after the other."""
        first = b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Request-Id: one\r\n\r\n"
        second = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nX-Request-Id: two\r\nConnection: close\r\n\r\n"
        said = self.server.raw(first + second)
        self.assertEqual(said.count(b"HTTP/1.1 200 OK"), 2)
        self.assertLess(said.index(b"X-Request-Id: one"), said.index(b"X-Request-Id: two"))
        self.assertEqual(self.server.raw(b"GET /healthz HTTP/1.0\r\n\r\n").count(b"200 OK"), 1)

    def test_expect_continue(self):
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as s:
            s.sendall(f"PUT {self.at} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                      "Expect: 100-continue\r\nConnection: close\r\n\r\n".encode())
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(b"{}")
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 201 Created"))

    def test_chunked(self):
        answer = self.server.raw_answer(f"PUT {self.at} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
                                        "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n".encode() +
                                        b"a\r\n{\"data\": {\r\n2\r\n}}\r\n0\r\n\r\n")
        check_documented("PUT", self.at, answer)
        self.assertEqual(answer.status, 201)

    def test_what_is_not_http(self):
        for sent in (b"hello\r\n\r\n", b"GET /healthz HTTP/1.1\r\nno colon\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n",
                     b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"):
            answer = self.server.raw_answer(sent)
            self.assertEqual((answer.status, answer.headers["Connection"]), (400, "close"), sent)
            check_problem(answer)
        answer = self.server.raw_answer(b"GET /healthz HTTP/2.0\r\n\r\n")
        self.assertEqual(answer.status, 505)
        check_problem(answer)
        self.assertEqual(self.server.raw(b"GET /healthz HT", shut=True), b"")

    def test_document(self):
        """Every operation of the document is there, every route is in the document, and it is what the server serves."""
        printed = subprocess.run([SERVER, "--print-routes"], capture_output=True, text=True, check=True).stdout.split("\n")
        documented = {f"{method.upper()} {template}" for template, item in DOCUMENT["paths"].items()
                      for method in item if method != "parameters"}
        self.assertEqual(set(filter(None, printed)), documented)
        self.assertEqual(self.status(200, "GET", "/openapi.json").json, DOCUMENT)
        self.status(201, "PUT", self.at, {})
        content = {"PUT": {}, "PATCH": {"data": {}}, "POST": {"role": "user", "content": "hi"}}
        for route in sorted(documented, key=lambda r: r.startswith("DELETE")):
            method, template = route.split()
            target = template.replace("{agent}", self.agent).replace("{session}", "s")
            self.assertIn(self.ask(method, target, content.get(method)).status, (200, 201, 204), route)

    def test_metrics(self):
        self.status(201, "PUT", self.at, {})
        text = self.status(200, "GET", "/metrics").body.decode()
        sample = re.compile(r'[a-zA-Z_:][\w:]*(\{(\w+="([^"\\\n]|\\.)*",?)*\})? (-?[0-9.e+-]+|[+-]Inf|NaN)')
        for line in text.splitlines():
            self.assertTrue(line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line)
        self.assertRegex(text, r'http_server_request_duration_seconds_count\{http_request_method="PUT",'
                               r'http_response_status_code="201",http_route="/agents/\{agent\}/sessions/\{session\}"\} [1-9]')
        self.assertIn("db_client_operation_duration_seconds_bucket{", text)
        self.assertIn("http_server_active_requests 1\n", text)
        self.assertNotIn(self.agent, text)

    def test_log(self):
        self.status(201, "PUT", self.at, {"data": {"secret": "s3cret"}}, {"X-Request-Id": "logged"})
        self.ask("BREW", self.at, None, {"X-Request-Id": "logged-2"})
        log = wait_for(lambda: "logged-2" in (log := self.server.log()) and log, "record")
        lines = [json.loads(line) for line in log.splitlines()]
        line = next(line for line in lines if line.get("request_id") == "logged")
        self.assertEqual({k: line[k] for k in line.keys() - {"time", "duration_ms", "bytes_sent"}},
                         {"level": "info", "logger": "http", "message": "request", "request_id": "logged", "method": "PUT", "status": 201,
                          "route": "/agents/{agent}/sessions/{session}", "bytes_received": 30})
        self.assertTrue(all({"time", "level", "logger"} <= line.keys() for line in lines))
        opened = next(line for line in lines if line["message"] == "store opened")
        self.assertEqual((opened["logger"], opened["db.collection.name"]), ("pgstate", "agent_states"))
        self.assertEqual(next(line for line in lines if line["message"] == "listening")["server.port"], self.server.port)
        connected = next(line for line in lines if line["message"] == "connected")
        self.assertTrue(0 < connected["duration"] < PATIENCE, connected)
        for duration in re.findall(r'"duration(?:_ms)?":([^,}]*)', log):
            self.assertRegex(duration, r"^\d+(\.\d+)?$")
        for private in (self.agent, "s3cret", "BREW"):
            self.assertNotIn(private, log)

    @unittest.skipIf(shutil.which("curl") is None, "there is no curl")
    def test_readme(self):
        readme = (HERE / "README.md").read_text(encoding="utf-8")
        commands = next(b for b in re.findall(r"^```sh\n(.*?)^```$", readme, re.M | re.S) if "curl" in b)
        expected = re.findall(r"^curl .* # (\d{3})$", commands, re.M)
        self.assertEqual(len(expected), len(re.findall("^curl", commands, re.M)))
        script = "curl() { command curl -s -o /dev/null -w '%{http_code}\\n' \"$@\"; }\n" + commands
        ran = subprocess.run(["bash", "-euc", script.replace("localhost:8080", f"127.0.0.1:{self.server.port}")],
                             capture_output=True, text=True, check=True, timeout=PATIENCE)
        self.assertEqual(ran.stdout.split(), expected)


class Operation(unittest.TestCase):
    """Limits, failures and shutdown, on servers of their own and one database."""

    @classmethod
    def setUpClass(cls):
        cls.database = Database()

    @classmethod
    def tearDownClass(cls):
        cls.database.close()

    def serve(self, *arguments):
        server = Server("--database-url", self.database.url, *arguments)
        self.addCleanup(server.stop)
        return server

    def client(self, server):
        client = server.client()
        self.addCleanup(client.close)
        return client

    def under_way(self, client, count):
        """Waits until as many requests are under way, besides the one that asks."""
        wait_for(lambda: f"http_server_active_requests {count + 1}\n" in client("GET", "/metrics").body.decode(), "request")

    def test_table(self):
        ask = self.client(self.serve("--table", "of_its_own"))
        self.assertEqual(ask("PUT", path("a", "b"), {}).status, 201)
        with self.assertRaisesRegex(RuntimeError, "ended with 1: [^$]*schema"):
            self.serve("--table", "missing", "--migrate", "verify")

    def test_times_that_rfc_3339_cannot_hold(self):
        ask = self.client(self.serve("--table", "odd_times"))
        psql = Path(self.database.command[0]).parent / "psql"
        for name, value in [("1", "-infinity"), ("2", "0044-03-15 BC"), ("3", "10000-01-01"), ("4", "infinity"), ("5", "infinity")]:
            subprocess.run([psql, "-Xqc", "INSERT INTO odd_times (agent_id, session_id, state, created_at, updated_at) VALUES"
                            f" ('odd', '{name}', '{{}}', '{value}', '{value}')", self.database.url], check=True)
        listed, target = [], path("odd") + "?limit=1"
        while target:
            page = ask("GET", target)
            listed += page.json["sessions"]
            link = page.headers["Link"]
            target = link and link[1:link.index(">")]
        first, last = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
        self.assertEqual([(s["session_id"], s["updated_at"]) for s in listed],
                         [("5", last), ("4", last), ("3", last), ("2", first), ("1", first)])
        for each in listed:
            at = path("odd", each["session_id"])
            got = ask("GET", at)
            self.assertEqual((got.json["created_at"], got.json["updated_at"]), (each["created_at"], each["updated_at"]))
            self.assertEqual(ask("PUT", at, {}, {"If-Match": got.etag}).status, 200)

    def test_sizes(self):
        server = self.serve("--max-body", "1kb", "--max-header", "2kb")
        ask = self.client(server)
        self.assertEqual(ask("PUT", path("a", "fits"), json.dumps({"data": {"x": "y" * 900}})).status, 201)
        self.assertEqual(ask("PUT", path("a", "b"), "x" * 1025).status, 413)
        self.assertEqual(ask("PUT", path("a", "b"), "x" * (8 << 20)).status, 413)
        chunked = b"PUT /agents/a/sessions/b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n" + b"x" * 2048
        answer = server.raw_answer(chunked)
        self.assertEqual(answer.status, 413)
        check_problem(answer)
        self.assertEqual(ask("GET", "/healthz", None, {"X-Long": "x" * 3000}).status, 431)

    def test_times(self):
        server = self.serve("--read-timeout", "200ms", "--idle-timeout", "200ms")
        answer = server.raw_answer(b"PUT /agents/a/sessions/b HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123")
        check_documented("PUT", "/agents/a/sessions/b", answer)
        self.assertEqual((answer.status, answer.headers["Connection"]), (408, "close"))
        self.assertEqual(server.raw_answer(b"GET /hea").status, 408)
        self.assertEqual(server.raw(b""), b"")
        kept = server.raw(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual(kept.count(b"HTTP/1.1"), 1)

    def test_client_that_does_not_read(self):
        server = self.serve("--write-timeout", "200ms")
        ask = self.client(server)
        large = path("a", "large")
        self.assertIn(ask("PUT", large, {"data": {"x": "y" * 900_000}}).status, (200, 201))
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            s.connect(("127.0.0.1", server.port))
            s.sendall(f"GET {large} HTTP/1.1\r\nHost: a\r\n\r\n".encode() * 10)
            wait_for(lambda: "http_server_open_connections 1\n" in ask("GET", "/metrics").body.decode(), "end of it")

    def test_connections(self):
        server = self.serve("--max-connections", "2")
        kept = [self.client(server) for _ in range(2)]
        for client in kept:
            client("GET", "/healthz")
        answer = server.raw_answer(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n")
        check_documented("GET", "/readyz", answer)
        self.assertEqual((answer.status, answer.headers["Connection"]), (503, "close"))
        kept[0].close()
        wait_for(lambda: b" 200 OK" in server.raw(b"GET /healthz HTTP/1.0\r\n\r\n"), "place for another")

    def test_requests_at_once(self):
        server = self.serve("--max-requests", "1")
        with self.database.lock() as lock:
            writer, ask = self.client(server), self.client(server)
            written = InBackground(writer, "PUT", path("a", "waits"), {})
            self.under_way(ask, 1)
            refused = ask("GET", path("a", "waits"))
            self.assertEqual((refused.status, refused.json["type"]), (503, "urn:pgstate:problem:overloaded"))
            self.assertEqual(ask("GET", "/healthz").status, 200)
            lock.release()
            self.assertIn(written.get().status, (200, 201))
        self.assertEqual(ask("GET", path("a", "waits")).status, 200)

    def test_the_time_of_a_request_is_not_that_of_the_start(self):
        ask = self.client(self.serve("--request-timeout", "1ms"))
        self.assertEqual(ask("GET", "/healthz").status, 200)

    def test_slow_database(self):
        server = self.serve("--request-timeout", "300ms")
        ask = self.client(server)
        with self.database.lock():
            for request in (("GET", path("a", "b")), ("PUT", path("a", "b"), {}), ("PATCH", path("a", "b"), {"data": {"a": {}}})):
                answer = ask(*request)
                self.assertEqual((answer.status, answer.json["type"]), (504, "urn:pgstate:problem:timed-out"))
        self.assertIn(ask("PUT", path("a", "b"), {}).status, (200, 201))

    def test_database_is_restarted(self):
        server = self.serve("--request-timeout", "500ms")
        ask = self.client(server)
        self.assertEqual(ask("PUT", path("restart", "b"), {"data": {"kept": True}}).status, 201)
        self.database.stop()
        for request in (("GET", path("restart", "b")), ("PUT", path("restart", "c"), {}), ("GET", "/readyz")):
            answer = ask(*request)
            self.assertIn(answer.status, (503, 504))
            self.assertNotIn(self.database.directory, answer.body.decode())
        self.assertEqual(ask("GET", "/healthz").status, 200)
        self.database.start()
        wait_for(lambda: ask("GET", "/readyz").status == 200, "readiness")
        self.assertEqual(ask("GET", path("restart", "b")).json["data"], {"kept": True})

    def test_shutdown_answers_what_is_under_way(self):
        server = self.serve()
        with self.database.lock() as lock:
            writer, ask = self.client(server), self.client(server)
            written = InBackground(writer, "PUT", path("drain", "under way"), {})
            self.under_way(ask, 1)
            server.signal()
            wait_for(lambda: "shutting down" in server.log(), "shutdown")
            last = ask("GET", "/readyz")
            self.assertEqual((last.status, last.headers["Connection"]), (503, "close"))
            with self.assertRaises(ConnectionRefusedError):
                server.client()("GET", "/healthz")
            lock.release()
            self.assertEqual((written.get().status, written.get().headers["Connection"]), (201, "close"))
        self.assertEqual(server.wait(), 0)

    def test_readiness_has_a_time_of_its_own(self):
        """A probe is answered while its prober waits, whatever a request may take."""
        ask = self.client(self.serve("--ready-timeout", "200ms", "--request-timeout", "10m"))
        self.assertEqual(ask("GET", "/readyz").status, 200)
        with self.database.hanging():
            self.assertIn(ask("GET", "/readyz").status, (503, 504))
        wait_for(lambda: ask("GET", "/readyz").status == 200, "readiness")

    def test_shutdown_delay(self):
        """A load balancer sees that the server leaves before clients are refused."""
        server = self.serve("--shutdown-delay", "10m")
        kept = self.client(server)
        self.assertEqual(kept("GET", "/readyz").status, 200)
        server.signal()
        wait_for(lambda: "not ready any more" in server.log(), "record")
        for ask in (kept, self.client(server)):
            answer = ask("GET", "/readyz")
            self.assertEqual((answer.status, answer.headers["Connection"], answer.headers["Retry-After"]), (503, None, "1"))
            self.assertIn(ask("PUT", path("delay", "b"), {}).status, (200, 201))
            self.assertEqual(ask("GET", "/healthz").status, 200)
        server.signal()
        self.assertEqual(server.wait(), -signal.SIGTERM)

        server = self.serve("--shutdown-delay", "300ms")
        began = time.monotonic()
        server.signal()
        self.assertEqual(server.wait(), 0)
        self.assertGreaterEqual(time.monotonic() - began, 0.3)

    def test_shutdown_is_bounded(self):
        for arguments, signals, code in ((("--shutdown-grace", "200ms"), 1, 1), ((), 2, -signal.SIGTERM)):
            server = self.serve(*arguments)
            with self.database.lock():
                ask = self.client(server)
                written = InBackground(server.client(), "PUT", path("a", "b"), {})
                self.under_way(ask, 1)
                server.signal()
                wait_for(lambda: "shutting down" in server.log(), "shutdown")
                if signals == 2:
                    server.signal()
                self.assertEqual(server.wait(), code)
                with self.assertRaises((ConnectionError, http.client.HTTPException)):
                    written.get()

    def test_shutdown_loses_nothing(self):
        server = self.serve("--threads", "2")
        acknowledged, unanswered, enough = [], [], threading.Event()

        def save(thread):
            ask = server.client()
            for number in range(1_000_000):
                target = path("load", f"{thread} {number}")
                try:
                    ask.connection.connect() if ask.connection.sock is None else None
                except ConnectionError:
                    return
                try:
                    answer = ask("PUT", target, {"data": {"number": number}})
                except (ConnectionError, http.client.HTTPException) as e:
                    unanswered.append((target, e))
                    return
                if answer.status != 201:
                    unanswered.append((target, answer.status))
                acknowledged.append((target, number))
                if len(acknowledged) > 300:
                    enough.set()

        threads = [InBackground(save, thread) for thread in range(16)]
        self.assertTrue(enough.wait(PATIENCE))
        server.signal()
        self.assertEqual(server.wait(), 0)
        for thread in threads:
            thread.get()
        self.assertEqual(unanswered, [])
        ask = self.client(self.serve())
        for target, number in acknowledged:
            self.assertEqual(ask("GET", target).json["data"], {"number": number})


class CommandLine(unittest.TestCase):
    def call(self, *arguments, **environment):
        return subprocess.run([SERVER, *arguments], capture_output=True, text=True, timeout=PATIENCE, check=False,
                              env={"PATH": os.environ["PATH"], **environment})

    def test_help(self):
        said = self.call("--help")
        self.assertEqual(said.returncode, 0)
        for option in re.findall(r"^  (--[\w-]+)", said.stdout, re.M):
            if option not in ("--version", "--print-routes", "--database-url"):
                self.assertIn(f"Env:SESSION_SERVER_{option[2:].upper().replace('-', '_')}", said.stdout)
        self.assertRegex(self.call("--version").stdout, r"^session_server \d+\.\d+\.\d+$")

    def test_refusals(self):
        for arguments, names in (((), "DATABASE_URL"), (("--unknown",), "--unknown"), (("--listen", "8080"), "--listen"),
                                 (("--listen", "a:b"), "--listen"), (("--max-body", "0"), "--max-body"),
                                 (("--idle-timeout", "5"), "--idle-timeout"), (("--idle-timeout", "0s"), "--idle-timeout"),
                                 (("--threads", "0"), "--threads"), (("--migrate", "maybe"), "--migrate")):
            said = self.call(*arguments)
            self.assertEqual(said.returncode, 2, arguments)
            self.assertIn(names, said.stderr)
        said = self.call("--embedded", SESSION_SERVER_MAX_HEADER="1")
        self.assertEqual((said.returncode, "--max-header" in said.stderr), (2, True))

    def test_no_database(self):
        said = self.call("--database-url", "postgres://nobody:s3cret@127.0.0.1:1/none", "--request-timeout", "1s")
        self.assertEqual(said.returncode, 1)
        self.assertIn("session_server: open: ", said.stderr)
        self.assertNotIn("s3cret", said.stderr)


if __name__ == "__main__":
    SERVER, EMBEDDED_POSTGRES = sys.argv[1:3]
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]])
