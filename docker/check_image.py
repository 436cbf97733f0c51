#!/usr/bin/env python3
"""Runs the image that check_debian13.sh has made: check_image.py BUILD IMAGE INSTRUCTIONS

BUILD and IMAGE are the roots of the stages, INSTRUCTIONS is a file with the image's USER, ENTRYPOINT, CMD, HEALTHCHECK
and STOPSIGNAL as they stand in the Dockerfile. The server runs as that user, without capabilities and on a root that it
cannot write to, as compose.yaml has it; PostgreSQL is the build stage's.
"""

import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PORT = 8080
PATIENCE = 60  # seconds


def check(condition, what):
    print(f"check_image: {'ok' if condition else 'FAILED'}: {what}", flush=True)
    if not condition:
        sys.exit(1)


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.1)
    check(holds, what)


def read_instructions(path):
    return dict(line.split(" ", 1) for line in Path(path).read_text(encoding="utf-8").splitlines())


def in_chroot(root, *command, environment=(), **options):
    return subprocess.Popen(["chroot", root, "env", "-i", PATH, *environment, *command], **options)


def output_of(root, *command):
    process = in_chroot(root, *command, stdout=subprocess.PIPE, text=True)
    text = process.communicate()[0]
    if process.returncode != 0:
        check(False, " ".join(command))
    return text


def as_user(user, *command):
    """What a container without capabilities starts `command` with."""
    uid, gid = user.split(":")
    return ["setpriv", "--reuid", uid, "--regid", gid, "--clear-groups", "--no-new-privs", "--bounding-set=-all",
            "--inh-caps=-all", *command]


def request(method, path, body=None):
    """(status, body) of the server's answer; status None if there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=PATIENCE)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return None, b""
    finally:
        connection.close()


def check_libraries(image, programs):
    """Every library that the programs want is there, and every package that the image adds is wanted."""
    lines = output_of(image, "ldd", *programs)
    check("not found" not in lines, "the image has every library that its programs want")
    wanted = {os.path.basename(path) for path in re.findall(r"=> (/\S+)", lines)}
    dockerfile = Path("docker/Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    added = re.search(r"--no-install-recommends((?:[ \\\n]+[\w.+-]+)+)", dockerfile)[1].replace("\\", " ").split()
    for package in added:
        files = {os.path.basename(path) for path in output_of(image, "dpkg", "-L", package).splitlines()}
        check(files & wanted, f"a program of the image wants {package}")


@contextlib.contextmanager
def postgres(build):
    """A private PostgreSQL in the build stage, by TCP; its connection string."""
    url_file = Path(build, "tmp/check_image.url")
    url_file.unlink(missing_ok=True)
    server = in_chroot(build, "/pgstate/build/release/examples/embedded_postgres", "--tcp", "--url-file",
                       "/tmp/check_image.url")
    try:
        wait_until(url_file.exists, "PostgreSQL has started")
        yield url_file.read_text(encoding="utf-8").strip()
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(PATIENCE)


@contextlib.contextmanager
def running_server(image, instructions, url):
    """The server's process; what it logs is printed if a check fails."""
    command = json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"])
    with tempfile.TemporaryFile("w+") as log:
        server = in_chroot(image, *as_user(instructions["USER"], *command), environment=[f"DATABASE_URL={url}"],
                           stderr=log)
        try:
            yield server
        except BaseException:
            log.seek(0)
            print(log.read(), flush=True)
            raise
        finally:
            server.kill()
            server.wait()


def probe(image, instructions):
    """The exit code of the image's health check."""
    command = json.loads(instructions["HEALTHCHECK"].partition(" CMD ")[2])
    return in_chroot(image, *as_user(instructions["USER"], *command), stderr=subprocess.DEVNULL).wait(PATIENCE)


def check_start(server):
    wait_until(lambda: request("GET", "/healthz")[0] == 200, "/healthz says 200")
    wait_until(lambda: request("GET", "/readyz")[0] == 200, "/readyz says 200")
    status = Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8")
    check(re.search(r"^Uid:\s+10001\s", status, re.M), "the server is not root")
    check(re.search(r"^CapEff:\s+0+$", status, re.M), "the server has no capabilities")


def check_requests():
    path = "/agents/agent-1/sessions/session-1"
    status, _ = request("PUT", path, json.dumps({"context": {"user": "john"}}))
    check(status in (200, 201, 204), f"PUT says {status}")
    status, body = request("GET", path)
    check(status == 200 and json.loads(body)["context"] == {"user": "john"}, "GET gives what was put")
    status, body = request("GET", "/metrics")
    check(status == 200 and b"db_client_operation_duration_seconds" in body, "/metrics has the library's")


def check_server(image, instructions, url, stop_database):
    with running_server(image, instructions, url) as server:
        check_start(server)
        check(probe(image, instructions) == 0, "HEALTHCHECK succeeds")
        check_requests()
        stop_database()
        wait_until(lambda: request("GET", "/readyz")[0] == 503, "/readyz says 503 without the database")
        check(request("GET", "/healthz")[0] == 200, "/healthz still says 200")
        server.send_signal(getattr(signal, instructions["STOPSIGNAL"]))
        check(server.wait(PATIENCE) == 0, f"{instructions['STOPSIGNAL']} ends it with 0")
        check(probe(image, instructions) != 0, "HEALTHCHECK fails without the server")


def main(build, image, instructions_file):
    instructions = read_instructions(instructions_file)
    programs = [f"/usr/local/bin/{path.name}" for path in sorted(Path(image, "usr/local/bin").iterdir())]
    print("check_image: programs:", *programs or ["none"], flush=True)
    entrypoint = json.loads(instructions["ENTRYPOINT"])[0]
    check(f"/usr/local/bin/{entrypoint}" in programs, f"the image has its entry point, {entrypoint}")
    check_libraries(image, programs)
    uid, gid = instructions["USER"].split(":")
    check(output_of(image, "getent", "passwd", uid).split(":")[3] == gid, "the image has the user, and it is of its group")

    subprocess.run(["mount", "--bind", image, image], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", image], check=True)
    with contextlib.ExitStack() as database:
        url = database.enter_context(postgres(build))
        check_server(image, instructions, url, database.close)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
