"""export and import: what survives, and what an interruption leaves. PGSTATE_CLI_STATES=100000 makes them larger."""
import filecmp
import itertools
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import support
from support import CliTest, wait_until

STATES = int(os.environ.get("PGSTATE_CLI_STATES", "5000"))
INTERRUPTED = max(2500, STATES // 10)  # several pages, and more than a pipe holds


def number(digits):
    """jsonb writes doubles out as digits: read as every program does, which has no larger integers."""
    return int(digits) if -(2**63) <= int(digits) < 2**64 else float(digits)


def without_version(lines):
    return re.sub(r'^(\{"agent_id":"(?:[^"\\]|\\.)*","session_id":"(?:[^"\\]|\\.)*","version":)\d+', r"\1", lines,
                  flags=re.MULTILINE)


class Transfer(CliTest):
    def setUp(self):
        super().setUp()
        self.states = self.directory / "states"

    def other_database(self, options=""):
        url = support.SERVER.fresh_database(options)
        self.run_cli("migrate", url=url)
        return url

    def fill(self, number=STATES):
        """Makes the table from a file of states; the path of its export."""
        support.write_states(self.states, number)
        self.run_cli("import", self.states)
        path = self.directory / "exported"
        self.run_cli("export", "-o", path)
        return path

    def run_measured(self, *arguments, url=None):
        """Runs the program; the most memory that it had, in MB. (What the kernel says of children that have ended
        counts this process's own, which they begin with.)"""
        process = subprocess.Popen(self.command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                   env=support.environment(url or self.url))
        peak = 0
        while process.poll() is None:
            if found := re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{process.pid}/status").read_text()):
                peak = int(found[1]) >> 10
            time.sleep(0.002)
        self.assertEqual(process.returncode, 0)
        self.assertGreater(peak, 0)
        return peak

    def start(self, *arguments, **more):
        process = subprocess.Popen(self.command(*arguments), env=support.environment(self.url),
                                   stderr=subprocess.DEVNULL, **more)
        self.addCleanup(process.wait)
        return process

    def assert_same_files(self, left, right):
        self.assertTrue(filecmp.cmp(left, right, shallow=False), "the files differ")

    def assert_same_states(self, left, right):
        """The same lines, but for the versions, which are those of a table."""
        with open(left, encoding="utf-8") as a, open(right, encoding="utf-8") as b:
            for ours, theirs in itertools.zip_longest(a, b):
                self.assertEqual(without_version(ours or ""), without_version(theirs or ""))

    def assert_same_table(self, exported, url):
        again = self.directory / "again"
        self.run_cli("export", "-o", again, url=url)
        self.assert_same_states(exported, again)

    def count(self):
        return int(self.sql("SELECT count(*) FROM agent_states"))


class RoundTrip(Transfer):
    def test_everything_survives(self):
        exported = self.fill()
        made = {(s["agent_id"], s["session_id"]): s for s in map(json.loads, self.states.open(encoding="utf-8"))}
        versions = set()
        with exported.open(encoding="utf-8") as lines:
            for line in lines:
                state = json.loads(line, parse_int=number)
                expected = made.pop((state["agent_id"], state["session_id"]))
                if expected["expires_at"] is None:
                    self.assertIsNone(state["expires_at"])
                versions.add(state["version"])
                self.assertEqual({**state, "version": 0}, {**expected, "version": 0})
        self.assertEqual(made, {})
        self.assertEqual(len(versions), STATES)
        self.assertEqual(self.run_json("import", exported)["written"], 0)  # it is all there

        other = self.other_database()
        for arguments in (["import", exported], ["export", "-o", self.directory / "again"]):
            begun = time.monotonic()
            peak = self.run_measured(*arguments, url=other)
            print(f"\n{arguments[0]} of {STATES} states ({exported.stat().st_size >> 20} MB):"
                  f" {time.monotonic() - begun:.1f} s, {peak} MB of memory", end=" ", flush=True)
            self.assertLess(peak, 60)  # whatever the table holds
        self.assert_same_states(exported, self.directory / "again")

    def test_through_a_pipe_and_by_agent(self):
        exported = self.fill(300)
        agent = json.loads(exported.open(encoding="utf-8").readline())["agent_id"]
        lines = self.run_cli("export", agent)
        self.assertEqual(lines, "".join(line for line in exported.open(encoding="utf-8")
                                        if json.loads(line)["agent_id"] == agent))
        other = self.other_database()
        self.assertEqual(self.run_json("import", stdin=lines, url=other),
                         {"states": lines.count("\n"), "written": lines.count("\n")})
        self.assertEqual(without_version(self.run_cli("export", "--output", "-", url=other)), without_version(lines))

    def test_progress_is_for_people(self):
        exported = self.fill(1200)
        self.assertEqual(self.errors, "exported 1,200 states\n")
        screen = self.on_terminal("export", "-o", self.directory / "again")
        self.assertRegex(screen, r"\r\x1b\[K.*1,000 states")
        self.assertTrue(screen.endswith("\r\x1b[Kexported 1,200 states\n"), screen)
        self.assertRegex(self.on_terminal("import", exported), r"\r\x1b\[K\[#+\.*\] \d+ %  500 states")

    def test_large_states_page_by_page(self):
        self.sql("INSERT INTO agent_states (agent_id, session_id, state) SELECT 'a', i, jsonb_build_object('data',"
                 " jsonb_build_object('text', (SELECT string_agg(md5((i * j)::text), '') FROM generate_series(1, 20000) j)))"
                 " FROM generate_series(1, 12) i")
        self.assertEqual(self.run_cli("export").count("\n"), 12)
        self.assertLess(self.run_measured("export"), 60)

    def test_what_could_not_be_given_back(self):
        good = self.directory / "good"
        for session in ("s1", "s3", "s5"):
            self.put("a", session)
        self.run_cli("export", "-o", good)
        before = good.read_text()
        for state, why in [
            ('{"expires_at": 1}', 'a member "expires_at" of its own'),
            ("[]", "no object"),
            ('{"data": {"secret": 1e400}}', "data holds a number"),
            ('{"history": [{"role": 7}]}', "history[0].role is a number"),
        ]:
            with self.subTest(state):
                self.sql(f"INSERT INTO agent_states (agent_id, session_id, state) VALUES ('a', 's2', '{state}'),"
                         f" ('a', 's9', '{state}')")
                for arguments in (["export"], ["export", "a"], ["export", "-o", good], ["export", "-o", good, "--resume"]):
                    self.run_cli(*arguments, code=1)
                    first = "s9" if "--resume" in arguments else "s2"
                    self.assertTrue(self.errors.startswith(f'pgstate: agent "a", session "{first}": '), self.errors)
                    (self.directory / "good.part").unlink(missing_ok=True)
                    self.assertIn(why, self.errors)
                    self.assertIn("--skip-unreadable", self.errors)
                    self.assertNotIn("secret", self.errors)
                    self.assertEqual(good.read_text(), before)
                self.assertEqual(self.run_cli("export", "--skip-unreadable"), before)
                self.assertEqual(self.errors.count("pgstate: skipped agent"), 2)
                self.assertIn('session "s9": ', self.errors)
                new = self.directory / "new"
                self.run_cli("export", "-o", new, "--skip-unreadable")
                self.assertEqual(new.read_text(), before)
                self.assertIn("exported 3 states\n", self.errors)
                new.unlink()
                if state == "[]" or "expires_at" in state:
                    self.run_cli("get", "a", "s2", code=1)
                self.sql("DELETE FROM agent_states WHERE session_id IN ('s2', 's9')")
                self.run_cli("export", "-o", good)
                self.assertEqual(good.read_text(), before)

    def test_times_that_rfc_3339_cannot_hold(self):
        odd = ["-infinity", "0044-03-15 BC", "10000-01-01", "294276-12-31", "infinity"]
        for time_ in odd:
            self.sql("INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at, expires_at) VALUES"
                     f''' ('a', '{time_}', '{{"data":{{}},"context":{{}},"history":[]}}', '{time_}', '{time_}', nullif(greatest('{time_}', '3000-01-01 00:00Z'::timestamptz),'''
                     " '3000-01-01 00:00Z'))")
        first, last = "0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"
        path = self.directory / "states"
        self.run_cli("export", "-o", path)
        for line in map(json.loads, path.open(encoding="utf-8")):
            early = line["session_id"] in odd[:2]
            self.assertEqual((line["created_at"], line["updated_at"], line["expires_at"]),
                             (first, first, None) if early else (last, last, last))
        self.assertEqual(self.run_json("import", path, "--on-conflict", "skip")["written"], 0)
        other = self.other_database()
        self.assertEqual(self.run_json("import", path, url=other)["written"], 5)
        self.assert_same_table(path, other)
        self.run_cli("get", "a", "infinity")
        self.assertEqual([s["session_id"] for s in self.run_lines("ls", "a")], ["infinity", *odd[3:1:-1], *odd[1::-1]])
        self.assertEqual(self.run_lines("ls")[0]["updated_at"], last)
        self.put("a", "infinity", '{"data": {"n": 1}}')
        self.assertEqual(self.run_json("get", "a", "infinity")["created_at"], last)
        self.run_cli("rm", "a", "--all", "--yes")
        self.assertEqual(self.count(), 0)

    def test_expired_states_stay_behind(self):
        self.put("a", "s", "{}", "--ttl", "1ms")
        self.put("a", "other")
        wait_until(lambda: self.sql("SELECT count(*) FROM agent_states WHERE expires_at < now()") == "1")
        line = self.run_cli("export")
        self.assertEqual(line.count("\n"), 1)
        expired = json.dumps({**json.loads(line), "session_id": "s", "expires_at": "2020-01-01T00:00:00Z"})
        self.assertEqual(self.run_json("import", stdin=expired), {"states": 1, "written": 0})
        alive = json.dumps({**json.loads(line), "session_id": "s"})
        self.assertEqual(self.run_json("import", stdin=alive), {"states": 1, "written": 1})
        self.assertEqual(len(self.run_lines("ls", "a")), 2)


class Conflicts(Transfer):
    def line(self, **members):
        return json.dumps({"agent_id": "a", "session_id": "s", "version": 5, "created_at": "2024-01-01T00:00:00.000000Z",
                           "updated_at": "2024-01-01T00:00:00.000000Z", "expires_at": None, "data": {}, **members}) + "\n"

    def test_the_three_ways(self):
        old, new = self.line(), self.line(data={"n": 1})
        self.run_cli("import", stdin=old)
        self.assertEqual(self.run_json("import", stdin=old)["written"], 0)  # there, unchanged
        before = self.run_cli("export")
        self.run_cli("import", stdin=self.line(session_id="t") + new, code=4)
        self.assertIn("line 2", self.errors)
        self.run_cli("import", "--on-conflict", "skip", stdin=new)
        self.assertEqual(self.run_cli("get", "a", "s"), before)
        self.assertEqual(self.run_json("import", "--on-conflict", "replace", stdin=new)["written"], 1)
        state = self.run_json("get", "a", "s")
        self.assertEqual(state["data"], {"n": 1})
        self.assertGreater(state["version"], json.loads(before)["version"])
        self.assertEqual(self.run_json("import", "--on-conflict", "replace", stdin=new)["written"], 0)
        self.assertEqual(self.run_json("import", stdin=self.line(data={"n": 1}, version=99))["written"], 0)
        self.assertEqual(self.run_json("get", "a", "s")["version"], state["version"])

    def test_the_greatest_version(self):
        self.run_cli("import", stdin=self.line(version=2**63 - 1))
        version = self.run_json("get", "a", "s")["version"]
        self.assertLess(version, 1000)  # the table's own
        saved = self.put("a", "s", "{}", "--if-version", version)["version"]
        self.assertGreater(saved, version)
        self.run_cli("import", "--on-conflict", "replace", stdin=self.line(version=2**63 - 1))
        version = self.run_json("get", "a", "s")["version"]
        self.assertGreater(version, saved)
        self.run_cli("rm", "a", "s", "--if-version", version)
        self.assertEqual(self.count(), 0)

    def test_a_key_twice(self):
        self.run_cli("import", "--on-conflict", "replace", stdin=self.line() + self.line(data={"n": 2}))
        self.assertEqual(self.run_json("get", "a", "s")["data"], {"n": 2})
        self.run_cli("import", stdin=self.line(session_id="u") + self.line(session_id="u", data={"n": 2}), code=4)
        self.assertIn("line 2", self.errors)

    def test_lines_that_are_no_states(self):
        good = self.line(session_id="good")
        for bad, why in [
            ('{"agent_id": "a", "session_id": "s", "data": {"secret": ', "ends too early"),
            ('{"agent_id": "a"}', "has no"),
            (self.line(data=["secret"]), "data is no JSON object"),
            *((self.line(**{member: text}), f"{member} is no RFC 3339 time")
              for member in ("created_at", "updated_at", "expires_at")
              for text in ("secret", "tomorrow", "infinity", "2030-01-01T00:00:00", "2030-01-01", "12345-01-01T00:00:00Z",
                           "2030-01-01T00:00:00+0200", "")),
            *((self.line(**{member: value}), f"{member} is ")
              for member in ("agent_id", "session_id", "created_at", "updated_at", "expires_at") for value in (7, True, [], {})),
            (self.line(created_at="0000-01-01T00:00:00Z"), "created_at is not of the years 1 to 9999"),
            (self.line(expires_at="9999-12-31T23:59:59-01:00"), "expires_at is not of the years 1 to 9999"),
            (self.line(version="secret"), "version is a string"),
            (self.line(version=1.5), "version is no 64-bit integer"),
            (self.line(context="secret"), "context is a string"),
            (self.line(history={}), "history is no JSON array"),
            (self.line(history=["secret"]), "history[0] is a string"),
            (self.line(history=[{"role": 7}]), "history[0].role is a number"),
            (self.line(history=[{"timestamp": "2030-01-01T00:00:00"}]), "history[0].timestamp is no RFC 3339 time"),
            (self.line(history=[{"metadata": []}]), "history[0].metadata is no JSON object"),
            (self.line(data={"secret": 0}).replace("0}", "1e400}"), "data holds a number"),
            (self.line(data={"secret": 0}).replace("0}", "1e-400}"), "data holds a number"),
            (self.line(data={"secret": 0}).replace("0}", "123456789012345678901234567890}"), "data holds a number"),
            (self.line(more={"secret": 0}).replace("0}", "0.123456789012345678901234567891}"), "extra holds a number"),
            (self.line(data={"secret": "\ud800"}), "no valid JSON"),
            (self.line(data={"\0": 1}), "NUL character"),
            (self.line(data={"deep": 0}).replace("0}", "[" * 600 + "]" * 600 + "}"), "nested deeper"),
            (self.line(data={"secret": "\0"}), "NUL character"),
            (self.line(session_id=""), "has no"),
            (self.line(session_id="s" * 2600), "more than 2600 bytes"),
            ("{},{}", "no valid JSON at byte 3"),
        ]:
            with self.subTest(bad[:60]):
                self.run_cli("import", stdin=good + bad, code=1)
                self.assertIn("line 2", self.errors)
                self.assertIn(why, self.errors)
                self.assertNotIn("secret", self.errors)
                self.assertEqual(self.count(), 0)
        self.run_cli("import", stdin=self.line(data={"text": "\\u0000 is no NUL"}) + self.line(
            session_id="t", created_at="2030-01-01t12:00:00.5+23:59", updated_at=None, expires_at=None))
        self.assertEqual(self.sql("SELECT created_at = '2029-12-31 12:01:00.5Z' FROM agent_states WHERE session_id = 't'"), "t")

    def test_nothing_of_a_file_is_imported_where_one_line_is_refused(self):
        path = self.directory / "states"
        lines = [self.line(session_id=str(i)) for i in range(1700)]
        for bad, why in [(self.line(data=[]), "data is no JSON object"), ("{", "ends too early")]:
            path.write_text("".join(lines) + bad)
            self.run_cli("import", path, code=1)
            self.assertIn(f"{path}, line 1701 ", self.errors)
            self.assertIn(why, self.errors)
            self.assertEqual(self.count(), 0)
            with path.open() as stdin:
                done = subprocess.run(self.command("import"), stdin=stdin, capture_output=True, text=True, check=False,
                                      env=support.environment(self.url))
            self.assertEqual((done.returncode, self.count()), (1, 0))
            self.assertIn("line 1701 ", done.stderr)
        # Through a pipe the batches before it have been sent; of its own, nothing is.
        self.run_cli("import", stdin="".join(lines) + self.line(data=[]), code=1)
        self.assertEqual(self.count(), 1500)

    def test_nothing_of_a_batch_is_imported_where_the_server_refuses_a_line(self):
        self.sql("ALTER TABLE agent_states ADD CHECK (session_id <> '2')")
        self.run_cli("import", stdin="".join(self.line(session_id=str(i)) for i in range(5)), code=1)
        self.assertIn("line 3 ", self.errors)
        self.assertIn("23514", self.errors)
        self.assertEqual(self.count(), 0)

    def test_a_character_that_the_encoding_lacks(self):
        latin1 = self.other_database("ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        for character in ("\u20ac", "\\u20ac"):  # as it is, and escaped
            document = '{"agent_id": "a", "session_id": "s", "data": {"price": "%s"}}' % character
            for arguments in (["import"], ["put", "a", "s"]):
                with self.subTest(arguments=arguments, character=character):
                    self.run_cli(*arguments, stdin=document, code=1, url=latin1)
                    self.assertIn("encoding, LATIN1,", self.errors)
                    self.assertNotIn("NUL", self.errors)
        self.run_cli("put", "a", "s", stdin='{"data": {"price": "\\u0000"}}', code=1, url=latin1)
        self.assertIn("NUL character", self.errors)


class Interruptions(Transfer):
    def test_a_killed_export_goes_on(self):
        exported = self.fill(INTERRUPTED)
        whole = exported.read_bytes()
        for amount in (1, len(whole) // 3, len(whole) - 200_000):
            # Standard output is a pipe, which fills: the process cannot have come to its end.
            process = self.start("export", stdout=subprocess.PIPE)
            begun = process.stdout.read(amount)
            process.kill()
            process.wait()
            begun += process.stdout.read()
            process.stdout.close()
            self.assertLess(len(begun), len(whole))
            self.assertTrue(whole.startswith(begun))
            partial = self.directory / "partial"
            partial.write_bytes(begun)
            self.run_cli("export", "-o", partial, "--resume")
            self.assert_same_files(exported, partial)
        self.run_cli("export", "-o", partial, "--resume")  # nothing is left to do
        self.assert_same_files(exported, partial)
        self.run_cli("export", "-o", self.directory / "new", "--resume")
        self.assert_same_files(exported, self.directory / "new")

    def test_half_a_line_is_no_state(self):
        exported = self.fill(10)
        half = exported.read_text()[:-20]
        self.run_cli("import", stdin=half, code=1, url=self.other_database())
        self.assertIn("line 10", self.errors)
        self.assertIn("--resume", self.errors)

    def test_resuming_what_is_no_export(self):
        path = self.directory / "other"
        path.write_text("something else\n")
        self.run_cli("export", "-o", path, "--resume", code=1)
        self.assertEqual(path.read_text(), "something else\n")
        self.assertEqual(os.listdir(self.directory), ["other"])

    def test_the_file_is_replaced_when_the_export_is_complete(self):
        exported = self.fill(INTERRUPTED)
        whole = exported.read_bytes()
        path, link = self.directory / "precious", self.directory / "link"
        path.write_text("precious\n")
        path.chmod(0o640)
        link.symlink_to(path)
        part = self.directory / "precious.part"
        # A bad row at the end: what was there stays, and so does what was written, to go on from.
        self.sql("INSERT INTO agent_states (agent_id, session_id, state) VALUES ('~', 's', '[]')")
        self.run_cli("export", "-o", link, code=1)
        self.assertEqual(path.read_text(), "precious\n")
        self.assertTrue(part.read_bytes().endswith(b"\n"))
        self.assertTrue(whole.startswith(part.read_bytes()))
        self.sql("DELETE FROM agent_states WHERE agent_id = '~'")
        self.run_cli("export", "-o", link, "--resume")
        self.assertLess(int(re.search(r"exported ([\d,]+)", self.errors)[1].replace(",", "")), INTERRUPTED)
        self.assert_same_files(exported, path)
        self.assertTrue(link.is_symlink())
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)
        self.assertFalse(part.exists())
        # Killed in the middle of a line.
        part.write_bytes(whole[:len(whole) // 2])
        path.write_text("precious\n")
        self.run_cli("export", "-o", path, "--resume")
        self.assert_same_files(exported, path)
        # Begun anew, where there is something of an earlier one.
        part.write_text("something else\n")
        self.run_cli("export", "-o", path)
        self.assert_same_files(exported, path)
        self.assertFalse(part.exists())

    def test_an_export_to_what_is_no_file(self):
        line = self.line_of_a_state()
        self.assertEqual(self.run_cli("export", "-o", "/dev/stdout"), line)
        self.run_cli("export", "-o", "/dev/null")
        self.assertTrue(Path("/dev/null").is_char_device())
        self.run_cli("export", "-o", "/dev/full", code=1)
        self.assertIn("cannot write /dev/full", self.errors)
        self.run_cli("export", "-o", self.directory / "missing" / "file", code=1)
        self.assertIn("cannot open", self.errors)

    def line_of_a_state(self):
        self.put("a", "s")
        return self.run_cli("get", "a", "s", "--json")

    def test_a_failed_export_leaves_the_file_alone(self):
        path = self.directory / "precious"
        path.write_text("precious\n")
        self.run_cli("export", "-o", path, "--database-url", "postgres://127.0.0.1:1/db", code=5)
        self.assertEqual(path.read_text(), "precious\n")

    def test_an_interrupted_export_ends_with_a_line(self):
        exported = self.fill(INTERRUPTED)
        process = self.start("export", stdout=subprocess.PIPE)
        begun = process.stdout.read(10)
        process.send_signal(signal.SIGINT)
        begun += process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(), 130)
        self.assertTrue(begun.endswith(b"\n"))
        self.assertLess(len(begun), exported.stat().st_size)
        self.assertTrue(exported.read_bytes().startswith(begun))

    def start_import(self, lines):
        """An import that has got some of `lines`, and waits for more."""
        process = self.start("import", stdin=subprocess.PIPE)
        process.stdin.writelines(lines)
        process.stdin.flush()
        wait_until(lambda: self.count() > 0)
        return process

    def end_import(self, process, number, code):
        process.send_signal(number)
        self.assertEqual(process.wait(), code)
        process.stdin.close()

    def test_a_killed_import_goes_on(self):
        exported = self.fill(INTERRUPTED)
        lines = exported.read_bytes().splitlines(keepends=True)
        for number, code, conflict in [
            (signal.SIGKILL, -signal.SIGKILL, "fail"),
            (signal.SIGKILL, -signal.SIGKILL, "replace"),
            (signal.SIGINT, 130, "fail"),
        ]:
            with self.subTest(number=number, conflict=conflict):
                self.sql("TRUNCATE agent_states")
                self.end_import(self.start_import(lines[:INTERRUPTED // 2]), number, code)
                self.assertLess(self.count(), INTERRUPTED)
                self.run_cli("import", exported, "--on-conflict", conflict)
                self.assert_same_table(exported, self.url)
