"""What the tests of the command line share: a private server, the program, and documents to fill a table with."""
import contextlib
import glob
import json
import os
import pty
import random
import select
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = None  # set by run.py
SERVER = None


def psql_program():
    """psql, which comes with every PostgreSQL; not Debian's wrapper, which takes longer than most statements."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/psql"))
    return found[-1] if found else shutil.which("psql")


def environment(url=None, **more):
    """This process's, but for what would change what the program does."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PG") and k not in ("DATABASE_URL", "NO_COLOR")}
    if url:
        clean["DATABASE_URL"] = url
    return {**clean, "TERM": "xterm", **more}


class Server:
    """A private PostgreSQL."""

    def __init__(self, program):
        self.program = program  # other examples are beside it
        self.directory = tempfile.mkdtemp(prefix="pgstate-cli-")
        url_file = Path(self.directory, "url")
        self.process = subprocess.Popen([program, "--tcp", "--url-file", url_file], stdout=subprocess.DEVNULL)
        while not url_file.exists():
            if self.process.poll() is not None:
                raise RuntimeError("the private server did not start")
            time.sleep(0.05)
        self.url = url_file.read_text().strip()
        self.databases = 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)

    def sql(self, statement, url=None):
        done = subprocess.run([psql_program(), url or self.url, "-XAtqv", "ON_ERROR_STOP=1", "-c", statement],
                              capture_output=True, text=True, env=environment(), check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def fresh_database(self, options=""):
        """The connection string of a new database."""
        self.databases += 1
        name = f"cli_{self.databases}"
        self.sql(f"CREATE DATABASE {name} {options}")
        front, _, query = self.url.partition("?")
        return front.rsplit("/", 1)[0] + "/" + name + ("?" + query if query else "")


class CliTest(unittest.TestCase):
    """Each test begins with a schema in which there is the table and nothing else."""
    migrated = True
    maxDiff = 2000

    def setUp(self):
        self.url = SERVER.url
        table = subprocess.run(self.command("schema"), capture_output=True, text=True, check=True).stdout
        self.sql("SET client_min_messages = error; DROP SCHEMA public CASCADE; CREATE SCHEMA public;"
                 " GRANT USAGE ON SCHEMA public TO PUBLIC;" + (table if self.migrated else ""))
        self.directory = Path(tempfile.mkdtemp(prefix="pgstate-cli-"))
        self.addCleanup(shutil.rmtree, self.directory)

    def command(self, *arguments):
        return [PROGRAM, *map(str, arguments)]

    def run_cli(self, *arguments, stdin="", code=0, url=None, **env):
        """Runs the program; what it wrote to standard output. Its errors are in self.errors."""
        done = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, text=True, check=False,
                              timeout=120, env=environment(url or self.url, **env))
        self.errors = done.stderr
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout[-500:]}{done.stderr}")
        return done.stdout

    def run_json(self, *arguments, **more):
        return json.loads(self.run_cli(*arguments, "--json", **more))

    def run_lines(self, *arguments, **more):
        return [json.loads(line) for line in self.run_cli(*arguments, "--json", **more).splitlines()]

    def sql(self, statement):
        return SERVER.sql(statement, self.url)

    def put(self, agent, session, document="{}", *more):
        return self.run_json("put", agent, session, *more, stdin=document)

    def on_terminal(self, *arguments, typed="", code=0, **env):
        """Runs the program on a terminal of its own; what is on the screen in the end."""
        pid, screen = pty.fork()
        if pid == 0:
            with contextlib.suppress(OSError):
                os.execve(PROGRAM, self.command(*arguments), environment(self.url, **env))
            os._exit(127)
        os.write(screen, typed.encode())
        seen = b""
        while select.select([screen], [], [], 60)[0]:
            try:
                piece = os.read(screen, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
        os.close(screen)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), code, seen)
        return seen.decode().replace("\r\n", "\n")


def wait_until(condition, seconds=60):
    """Asks again and again, and fails when it takes too long."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)
    return found


def write_states(path, number, seed=1):
    """Writes `number` states, as import takes them: of many sizes, with everything that JSON and keys can hold."""
    dice = random.Random(seed)
    texts = ["plain", "Grüße, 世界 🌍", 'quotes " and \\ and / ', "tab\tline\nfeed\u0001\u007f", "", "' or 1=1 --", "\u2028"]
    numbers = [0, -1, 2**63 - 1, -(2**63), 0.1, 1e-300, 1.7976931348623157e308, 5e-324, 1.5]
    with open(path, "w", encoding="utf-8") as to:
        for i in range(number):
            agent = f"Agent {'ÄaA_-z'[i % 6]}{i % 97}"
            document = {
                "agent_id": agent,
                "session_id": f"{dice.choice(texts)}{i}",
                "version": 1_700_000_000_000_000 + i,
                "created_at": f"2024-01-{i % 28 + 1:02}T10:00:00.{i % 1_000_000:06}Z",
                "updated_at": f"2024-02-{i % 28 + 1:02}T10:00:00.{i % 1_000_000:06}Z",
                "expires_at": "2126-01-01T00:00:00.000001Z" if i % 10 == 0 else None,
                "data": {dice.choice(texts): dice.choice(numbers), "n": i, "nested": [[], {}, [None, True, {"a": [1]}]]},
                "history": [{"role": "user", "content": dice.choice(texts) * 3, "timestamp": "2024-01-01T00:00:00Z"}
                            for _ in range(i % 5)],
                "context": {"user": dice.choice(texts), "pad": "x" * dice.choice([0, 10, 300])},
            }
            if i % 7 == 0:
                document["of another program"] = {"kept": dice.choice(numbers)}
            to.write(json.dumps(document, ensure_ascii=i % 2 == 0) + "\n")
