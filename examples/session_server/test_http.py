#!/usr/bin/env python3
"""HTTP/1.1 of session_server to the byte: framing, Host, targets, pipelining, and what request smuggling is made of.

Usage: test_http.py SESSION_SERVER [unittest option...]
"""
import re
import socket
import sys
import time
import unittest

import test_server
from test_server import PATIENCE, Answer, Server, check_problem, wait_for

# Follows each message. Its answer shows that the message ended where it should, and that the connection was kept.
CANARY = b"GET /healthz HTTP/1.1\r\nHost: canary\r\n\r\n"
# What an attacker would have run as a request of another client's.
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
PUT = b"PUT /agents/http/sessions/s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def get(target=b"/healthz", *fields, version=b"HTTP/1.1", method=b"GET"):
    return b"\r\n".join([b" ".join([method, target, version]), *fields, b"", b""])


def put(*fields, body=b""):
    return PUT + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def chunked(body):
    return put(b"Transfer-Encoding: chunked", body=body)


def answers(received):
    """All answers in what a server sent; the statuses 1xx are left out."""
    found = []
    while received:
        head, separator, received = received.partition(b"\r\n\r\n")
        assert separator and head.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), head
        status = int(head.split()[1])
        if status < 200:
            continue
        headers = {name.lower(): value for name, value in re.findall(r"^([\w-]+): (.*?)\r?$", head.decode(), re.M)}
        length = int(headers.get("content-length", "0"))
        assert len(received) >= length, (head, received)
        found.append(Answer(status, {"-".join(map(str.capitalize, n.split("-"))): v for n, v in headers.items()}, received[:length]))
        received = received[length:]
    return found


OK = (200, 201)
HOST = b"Host: a"
LENGTH = b"Content-Length: %d"

# What is answered, and the connection kept: the canary is answered as well.
KEPT = {
    "no body": get(b"/healthz", HOST),
    "host with a port": get(b"/healthz", b"Host: example.org:8080"),
    "host with an empty port": get(b"/healthz", b"Host: a:"),
    "host is an address": get(b"/healthz", b"Host: [::1]:80"),
    "field names in any case": get(b"/healthz", b"hOST: a"),
    "white space around a value": get(b"/healthz", b"Host:\t a \t"),
    "absolute target": get(b"http://a/healthz", HOST),
    "absolute target in capitals": get(b"HTTP://a:80/healthz", HOST),
    "absolute target, whose host counts": get(b"https://b.example/healthz", HOST),
    "an empty line before": b"\r\n" + get(b"/healthz", HOST),
    "a body of a GET": get(b"/healthz", HOST, LENGTH % len(SMUGGLED)) + SMUGGLED,
    "a length": put(LENGTH % 2, body=b"{}"),
    "a length with zeros": put(b"Content-Length: 002", body=b"{}"),
    "one length, twice": put(LENGTH % 2, LENGTH % 2, body=b"{}"),
    "an empty line after": put(LENGTH % 2, body=b"{}\r\n"),
    "chunks": chunked(b"1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
    "chunked in capitals": put(b"Transfer-Encoding: CHUNKED", body=b"2\r\n{}\r\n0\r\n\r\n"),
    "sizes in hexadecimal": chunked(b'a\r\n{"data":{}\r\n0001\r\n}\r\n000\r\n\r\n'),
    "chunk extensions": chunked(b'2;a=b;c="d;\\"e\tf"\r\n{}\r\n0;z\r\n\r\n'),
    "trailers": chunked(b"2\r\n{}\r\n0\r\nX-Checksum: 1\r\n\r\n"),
    "trailers are no header": chunked(b'2\r\n{}\r\n0\r\nIf-Match: "1"\r\nHost: b\r\n\r\n'),
}

# What is refused; the connection is closed, and nothing behind it is run.
REFUSED = {
    # Host (RFC 9112, section 3.2)
    "no host": get(b"/healthz"),
    "an empty host": get(b"/healthz", b"Host:"),
    "two hosts": get(b"/healthz", HOST, b"Host: b"),
    "the same host twice": get(b"/healthz", HOST, HOST),
    "two hosts of HTTP/1.0": get(b"/healthz", HOST, b"Host: b", version=b"HTTP/1.0"),
    "a list of hosts": get(b"/healthz", b"Host: a, b"),
    "a host with a path": get(b"/healthz", b"Host: a/b"),
    "a host with a user": get(b"/healthz", b"Host: u@a"),
    "a host with a wrong port": get(b"/healthz", b"Host: a:b"),
    "a host with a port that is too large": get(b"/healthz", b"Host: a:65536"),
    "a host with white space": get(b"/healthz", b"Host: a b"),
    "no host beside an absolute target": get(b"http://a/healthz"),
    # Transfer-Encoding (section 6.1)
    **{f"Transfer-Encoding: {coding.decode()}": put(b"Transfer-Encoding: " + coding, body=SMUGGLED) for coding in (
        b"identity", b"gzip", b"xchunked", b"chunked, identity", b"chunked, chunked", b"chunked;a=b", b'"chunked"', b"'chunked'",
        b"chunked chunked", b"chunk", b", chunked", b"chunked,", b"")},
    "an unknown coding beside a length": put(b"Transfer-Encoding: identity", LENGTH % 2, body=b"{}" + SMUGGLED),
    "a length beside an unknown coding": put(LENGTH % 2, b"Transfer-Encoding: identity", body=b"{}" + SMUGGLED),
    "chunked beside a length": put(b"Transfer-Encoding: chunked", LENGTH % 5, body=b"0\r\n\r\n" + SMUGGLED),
    "a length beside chunked": put(LENGTH % 5, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "chunked twice": put(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "chunked, then another": put(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity", body=b"0\r\n\r\n" + SMUGGLED),
    "chunked of HTTP/1.0": PUT.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
                           b"2\r\n{}\r\n0\r\n\r\n" + SMUGGLED,
    "white space before the colon": put(b"Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "a control character in the coding": put(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + SMUGGLED),
    "a bare CR before the coding": put(b"X: a\rTransfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    "a bare LF before the coding": put(b"X: a\nTransfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    # Content-Length (section 6.2)
    **{f"Content-Length: {length.decode()}": put(b"Content-Length: " + length, body=b"{}" + SMUGGLED) for length in (
        b"", b"x", b"+2", b"-2", b"0x2", b"2 2", b"2,", b"2, 3", b"2.0", b"2e0", b"1_0", b"99999999999999999999")},
    "two lengths": put(LENGTH % 2, LENGTH % 0, body=b"{}"),
    # chunks (section 7.1)
    **{f"chunk {body!r}": chunked(body + SMUGGLED) for body in (
        b"\r\n{}\r\n0\r\n\r\n", b"x\r\n{}\r\n0\r\n\r\n", b"0x2\r\n{}\r\n0\r\n\r\n", b"-2\r\n{}\r\n0\r\n\r\n", b"+2\r\n{}\r\n0\r\n\r\n",
        b" 2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}0\r\n\r\n", b"2\r\n{}x\r\n0\r\n\r\n", b"2\r{}\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n{}\r\n0\r\n\r\n", b"2 a\r\n{}\r\n0\r\n\r\n", b"2;\r\n{}\r\n0\r\n\r\n", b"2;a=\r\n{}\r\n0\r\n\r\n",
        b'2;a="\n"\r\n{}\r\n0\r\n\r\n', b'2;a="\x00"\r\n{}\r\n0\r\n\r\n', b"2;a\n\r\n{}\r\n0\r\n\r\n", b"2\r\n{}\r\n0\r\nno colon\r\n\r\n",
        b"2\r\n{}\r\n0\r\nContent-Length: 3\r\n\r\n", b"2\r\n{}\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n")},
    # the first line and the fields (sections 2.2, 3 and 5)
    "white space before the first field": b"GET /healthz HTTP/1.1\r\n Host: a\r\n\r\n",
    "white space before a name's colon": get(b"/healthz", b"Host : a"),
    "no colon": get(b"/healthz", HOST, b"X"),
    "no name": get(b"/healthz", HOST, b": x"),
    "NUL in a value": get(b"/healthz", HOST, b"X: a\0b"),
    "NUL in a name": get(b"/healthz", HOST, b"X\0: a"),
    "lines that end in LF": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "a first line that ends in LF": b"GET /healthz HTTP/1.1\nHost: a\r\n\r\n",
    "a first line that ends in CR": b"GET /healthz HTTP/1.1\rHost: a\r\n\r\n",
    "no version": b"GET /healthz\r\nHost: a\r\n\r\n",
    "a version in small letters": get(b"/healthz", HOST, version=b"http/1.1"),
    "a version with white space": get(b"/healthz", HOST, version=b"HTTP/1.1 "),
    "a version of more digits": get(b"/healthz", HOST, version=b"HTTP/1.10"),
    "two blanks": get(b" /healthz", HOST),
    "a blank in the target": get(b"/health z", HOST),
    "a tab for a blank": b"GET\t/healthz HTTP/1.1\r\nHost: a\r\n\r\n",
    "a method that is no token": get(b"/healthz", HOST, method=b"G@T"),
}

# What another error or success than 400 or 200 is, and whether the connection is kept.
OTHERS = {
    "a coding before chunked": (501, False, put(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n" + SMUGGLED)),
    "HTTP/2": (505, False, get(b"/healthz", HOST, version=b"HTTP/2.0")),
    "HTTP/2's preface": (505, False, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "trailers without end": (431, False, chunked(b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 20_000)),
    "an extension without end": ((400, 431), False, chunked(b"2;a=" + b"b" * 100_000)),
    "a header without end": (431, False, get(b"/healthz", *[b"X: y"] * 10_000)),
    "HTTP/1.0": (200, False, get(b"/healthz", version=b"HTTP/1.0")),
    "HTTP/1.0 that is kept": (200, True, get(b"/healthz", b"Connection: keep-alive", version=b"HTTP/1.0")),
    "the last of a connection": (200, False, get(b"/healthz", HOST, b"Connection: x, Close")),
    "everything": (204, True, get(b"*", HOST, method=b"OPTIONS")),
    "everything, of a GET": (400, True, get(b"*", HOST)),
    "an authority": (400, True, get(b"a:80", HOST, method=b"CONNECT")),
    "an absolute target without a host": (400, True, get(b"http:///healthz", HOST)),
    "an absolute target with a user": (400, True, get(b"http://u@a/healthz", HOST)),
    "an absolute target of another scheme": (400, True, get(b"ftp://a/healthz", HOST)),
    "an absolute target that is only a host": (404, True, get(b"http://a", HOST)),
    "a fragment": (400, True, get(b"/healthz#a", HOST)),
    "a method in small letters": (405, True, get(b"/healthz", HOST, method=b"get")),
}


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--embedded", "--threads", "2", "--read-timeout", "2s")

    @classmethod
    def tearDownClass(cls):
        assert cls.server.stop() == 0

    def exchange(self, sent, piece=None):
        """The answers to `sent`, which goes in pieces of as many bytes, until the server closes."""
        with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for at in range(0, len(sent), piece or len(sent)):
                    s.sendall(sent[at:at + (piece or len(sent))])
                s.shutdown(socket.SHUT_WR)
            except ConnectionError:
                pass  # answered and closed before all was sent
            received = b"".join(iter(lambda: s.recv(65536), b""))
        for answer in (found := answers(received)):
            if answer.status >= 400:
                check_problem(answer)
        return found

    def check(self, sent, status, kept):
        found = self.exchange(sent + CANARY)
        statuses = [answer.status for answer in found]
        first = statuses[0] if statuses else None
        self.assertTrue(first in status, statuses)
        self.assertEqual(statuses[1:], [200] if kept else [], sent)
        if not kept:
            self.assertEqual("close" if sent.find(b"HTTP/1.0\r\n") < 0 else None, found[0].headers.get("Connection"))

    def test_kept(self):
        for name, sent in KEPT.items():
            with self.subTest(name):
                self.check(sent, OK, True)

    def test_refused(self):
        for name, sent in REFUSED.items():
            with self.subTest(name):
                self.check(sent, (400,), False)

    def test_others(self):
        for name, (status, kept, sent) in OTHERS.items():
            with self.subTest(name):
                self.check(sent, status if isinstance(status, tuple) else (status,), kept)

    def test_byte_by_byte(self):
        """However the bytes come. A wrong line may then wait for an end that does not come, and is never run."""
        for name, sent in KEPT.items():
            with self.subTest(name):
                self.assertIn([a.status for a in self.exchange(sent + CANARY, 1)], [[200, 200], [201, 200]])
        for name, sent in REFUSED.items():
            with self.subTest(name):
                self.assertIn([a.status for a in self.exchange(sent + CANARY, 1)], [[400], []])

    def test_pipelining(self):
        """Answers come in the order of the requests, to the last before one that is refused."""
        def at(name):
            return get(b"/healthz", HOST, b"X-Request-Id: " + name)
        some = [b"one", b"two", b"three"]
        found = self.exchange(b"".join(map(at, some)) + put(LENGTH % 2, body=b"{}") + chunked(b"2\r\n{}\r\n0\r\n\r\n") + at(b"four"))
        self.assertEqual([a.headers["X-Request-Id"] for a in found if a.body.startswith(b'{"status"')], ["one", "two", "three", "four"])
        self.assertEqual(len(found), 6)
        found = self.exchange(b"".join(map(at, some)) + put(b"Transfer-Encoding: identity", body=SMUGGLED) + at(b"four"))
        self.assertEqual([a.status for a in found], [200, 200, 200, 400])
        many = 2000
        self.assertEqual([a.status for a in self.exchange(CANARY * many)], [200] * many)

    def test_nothing_is_asked_for_that_is_refused(self):
        """No 100 Continue for a request whose header is refused."""
        for field in (b"Host: b", b"Transfer-Encoding: identity"):
            with socket.create_connection(("127.0.0.1", self.server.port), PATIENCE) as s:
                s.sendall(put(field, b"Expect: 100-continue"))
                self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 400 "))

    def test_what_is_cut_is_not_run(self):
        target = b"/agents/http/sessions/cut"
        for sent in (put(LENGTH % 3, body=b"{}"), chunked(b"2\r\n{}\r\n"), chunked(b"2\r\n{}\r\n0\r\n")):
            self.assertEqual(self.exchange(sent.replace(b"/agents/http/sessions/s", target)), [])
        self.assertEqual([a.status for a in self.exchange(get(target, HOST))], [404])

    def test_empty_lines_are_no_request(self):
        """They neither keep a connection from being idle nor are they answered."""
        server = Server("--embedded", "--idle-timeout", "300ms")
        self.addCleanup(server.stop)
        began = time.monotonic()
        self.assertEqual(server.raw(CANARY + b"\r\n\r\n\r").count(b"HTTP/1.1"), 1)
        self.assertLess(time.monotonic() - began, PATIENCE / 2)
        with socket.create_connection(("127.0.0.1", server.port), PATIENCE) as s:
            s.sendall(b"\r\n")
            ask = server.client()
            wait_for(lambda: b"http_server_open_connections 1\n" in ask("GET", "/metrics").body, "end of the connection")
            ask.close()


if __name__ == "__main__":
    test_server.SERVER = sys.argv[1]
    unittest.main(argv=[sys.argv[0], *sys.argv[2:]])
