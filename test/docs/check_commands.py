#!/usr/bin/env python3
"""Checks that the commands and the SQL of the pages work: check_commands.py ROOT EXAMPLES

Starts a private server with the program embedded_postgres in the directory EXAMPLES. Runs the ```sql blocks in the order of
the pages in one database, then the commands of the ```sh blocks in turn, in a directory of their own, but for those that
ELSEWHERE names: with the file that runs them, and how it does. A command that is on no page any more is a fault as well.
"""

import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
from pages import blocks, finish, pages  # noqa: E402

# command: (the file that runs it, what stands there); None: it cannot be run without what the reason says
ELSEWHERE = {
    "./test/run.sh": (".ci/run", "test/run.sh"),
    "./examples/run.sh": ("examples/CMakeLists.txt", "kill_and_resume.sh"),  # which it runs once it has built
    "cmake --preset release": ("test/run.sh", 'cmake --preset "$preset"'),
    "cmake --build --preset release": ("test/run.sh", 'cmake --build --preset "$preset"'),
    "cmake --build --preset release --target docs": ("test/docs/CMakeLists.txt", "Doxygen::doxygen"),
    "cmake --install build/release --prefix /opt/pgstate": ("test/package/run.sh", 'cmake --install "$build" --prefix'),
    "c++ -std=c++20 main.cpp $(pkg-config --cflags --libs pgstate)": ("test/package/run.sh", "$(pkg-config --cflags --libs"),
    "cmake --preset shared && cmake --build --preset shared": None,  # compiles everything once more
    "cmake/packaging/debian/build.sh packages": ("cmake/packaging/debian/Dockerfile", "cmake/packaging/debian/build.sh"),
    "docker build -f docker/Dockerfile -t pgstate .": None,  # needs a container engine
    "cp docker/.env.example docker/.env": None,  # goes with the next
    "docker compose -f docker/compose.yaml up -d": None,  # needs a container engine
}

# The role that the SQL grants rights to.
SETUP = "CREATE ROLE app LOGIN;"


def commands(text):
    """The commands of a ```sh block: without comments, continued lines joined."""
    joined = text.replace("\\\n", " ")
    stripped = (re.sub(r"(^|\s+)#.*$", "", line) for line in joined.splitlines())
    return [" ".join(line.split()) for line in stripped if line.strip()]


def elsewhere_faults(root, shown, elsewhere):
    faults = []
    for command, place in elsewhere.items():
        if command not in shown:
            faults.append(f"{command}: is on no page; take it out of ELSEWHERE")
        elif place and place[1] not in (root / place[0]).read_text(encoding="utf-8"):
            faults.append(f"{command}: {place[0]} no longer has {place[1]!r}")
    return faults


class private_server:
    def __init__(self, examples, scratch):
        self.url_file = Path(scratch) / "url"
        self.process = subprocess.Popen([f"{examples}/embedded_postgres", "--url-file", self.url_file])

    def __enter__(self):
        while not self.url_file.exists():
            if self.process.poll() is not None:
                sys.exit("the private server did not start")
            time.sleep(0.05)
        return self.url_file.read_text(encoding="utf-8").strip()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def run(environment, directory, command, stdin=None):
    """What is wrong with it; nothing if it succeeds."""
    done = subprocess.run(command, shell=isinstance(command, str), input=stdin, cwd=directory, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout if done.returncode else None


def main(root, examples):
    root = Path(root)
    texts = [(page.name, page.read_text(encoding="utf-8")) for page in pages(root)]
    shown = [(name, command) for name, text in texts for _, _, body in blocks(text, "sh") for command in commands(body)]
    faults = elsewhere_faults(root, {command for _, command in shown}, ELSEWHERE)

    with tempfile.TemporaryDirectory() as scratch, private_server(examples, scratch) as url:
        programs = [str(Path(examples).resolve().parent), shutil.which("psql") and os.path.dirname(shutil.which("psql"))]
        programs += sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
        environment = dict(os.environ, DATABASE_URL=url, PATH=":".join([*filter(None, programs), os.environ["PATH"]]),
                           OTHER_DATABASE_URL=url.replace("/postgres?", "/restored?"))
        psql = ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", url]
        faults += filter(None, [run(environment, scratch, psql, sql) for sql in (SETUP, "CREATE DATABASE restored")])
        for name, text in texts:
            for line, _, body in blocks(text, "sql"):
                failure = run(environment, scratch, psql, body)
                if failure:
                    faults.append(f"{name}:{line}: {failure}{body}")
        for name, command in shown:
            if command not in ELSEWHERE:
                failure = run(environment, scratch, command)
                print(f"{name}: {command}: {'failed' if failure is not None else 'ok'}")
                if failure is not None:
                    faults.append(f"{name}: {command}: {failure}")
    return finish(faults)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
