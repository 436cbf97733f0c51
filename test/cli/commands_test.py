"""The commands on single states, what they print where, and how they fail."""
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import unittest

import support
from support import CliTest, wait_until

ESCAPE = "\x1b["


class Listing(CliTest):
    def test_agents_and_sessions(self):
        for agent, session in [("a", "s1"), ("a", "s2"), ("b", "tab\tand\nline")]:
            self.put(agent, session)
        self.assertEqual([line.split("\t")[:2] for line in self.run_cli("ls").splitlines()], [["a", "2"], ["b", "1"]])
        self.assertEqual([s["session_id"] for s in self.run_lines("ls", "a")], ["s2", "s1"])
        self.assertEqual(self.run_lines("ls", "b")[0]["session_id"], "tab\tand\nline")
        self.assertTrue(self.run_cli("ls", "b").startswith("tab\\tand\\nline\t"))
        self.assertEqual(self.run_cli("ls", "nobody"), "")

    def test_all_pages_and_a_limit(self):
        self.sql("INSERT INTO agent_states (agent_id, session_id, state)"
                 " SELECT 'many', i, '{}' FROM generate_series(1, 2345) i")
        self.assertEqual(len(set(self.run_cli("ls", "many").splitlines())), 2345)
        self.assertEqual(len(self.run_cli("ls", "many", "--limit", 1001).splitlines()), 1001)
        self.assertEqual(len(self.run_cli("ls", "many", "--limit", 3).splitlines()), 3)

    def test_a_table_on_a_terminal(self):
        self.put("agent", "s")
        plain = self.on_terminal("ls", NO_COLOR="1")
        self.assertRegex(plain, r"^AGENT  SESSIONS  UPDATED *\nagent  1         20\d\d-")
        self.assertIn(ESCAPE, self.on_terminal("ls"))


class Checkpoints(CliTest):
    def setUp(self):
        super().setUp()
        self.run_cli("migrate", "--checkpoints")
        self.first = self.put("a", "s", '{"data": {"n": 1.10}, "history": [{"role": "user", "content": "hi"}]}')["version"]

    def test_what_was_kept_is_shown_restored_and_forked(self):
        before = self.run_json("get", "a", "s")
        self.assertEqual(self.run_cli("checkpoint", "a", "s", "--label", "first"), f"{self.first}\n")
        second = self.put("a", "s", '{"data": {"n": 2}}')["version"]
        self.assertEqual(self.run_json("checkpoint", "a", "s")["version"], second)
        listed = self.run_lines("checkpoints", "a", "s")
        self.assertEqual([(c["version"], c["messages"], c["label"]) for c in listed], [(second, 0, ""), (self.first, 1, "first")])
        self.assertEqual(len(self.run_lines("checkpoints", "a", "s", "--limit", 1)), 1)
        self.assertRegex(self.run_cli("checkpoints", "a", "s").splitlines()[1], rf"^{self.first}\t1\t20\d\d-\S+\tfirst$")

        line = self.run_cli("get", "a", "s", "--json", "--at", self.first)
        self.assertIn('"n":1.10', line)
        self.assertEqual(json.loads(line), before)
        self.assertEqual(self.run_json("get", "a", "s", "--at", second)["data"], {"n": 2})
        self.run_cli("get", "a", "s", "--at", second + 1, code=3)

        self.run_cli("restore", "a", "s", self.first, "--if-version", self.first, code=4)
        third = self.run_json("restore", "a", "s", self.first, "--if-version", second)["version"]
        self.assertGreater(third, second)
        self.assertEqual(self.run_json("get", "a", "s")["data"], before["data"])
        self.run_cli("restore", "a", "s", third + 1, code=3)

        self.assertEqual(self.run_json("fork", "a", "s", "t", "--at", second)["session_id"], "t")
        self.assertEqual(self.run_json("get", "a", "t")["data"], {"n": 2})
        self.run_cli("fork", "a", "s", "t", code=4)
        self.run_cli("fork", "a", "none", "u", code=3)

    def test_what_changed_is_a_json_patch(self):
        self.run_cli("checkpoint", "a", "s")
        message = '{"role": "user", "content": "hi"}'
        second = self.put("a", "s", '{"data": {"n": 1.1, "a/b": [18446744073709551615, 0.1]}, "history": [' + message + ", "
                          + message + "]}")["version"]
        expected = [{"op": "add", "path": "/data/a~1b", "value": [18446744073709551615, 0.1]},
                    {"op": "add", "path": "/history/-", "value": json.loads(message)}]
        self.assertEqual(self.run_json("diff", "a", "s", self.first), expected)
        self.run_cli("checkpoint", "a", "s")
        third = self.put("a", "s", r'{"context": {"\u0001": null}}')["version"]
        self.run_cli("checkpoint", "a", "s")
        self.assertEqual(self.run_json("diff", "a", "s", self.first, second), expected)
        self.assertEqual(self.run_json("diff", "a", "s", second, second), [])
        self.assertEqual([each["op"] for each in self.run_json("diff", "a", "s", third, self.first)],
                         ["remove", "add", "add"])
        self.assertIn(r'{"op":"add","path":"/context/\u0001","value":null}',
                      self.on_terminal("diff", "a", "s", second, third, NO_COLOR="1").splitlines())
        self.run_cli("diff", "a", "s", code=2)
        self.run_cli("diff", "a", "s", third + 1, code=3)
        self.run_cli("diff", "a", "s", self.first, third + 1, code=3)
        self.run_cli("diff", "a", "none", 1, code=3)
        self.sql("UPDATE agent_states SET state = jsonb_set(state, '{data}', '{\"n\": 1e400}')")
        self.run_cli("diff", "a", "s", self.first, code=1)
        self.assertIn("no double", self.errors)

    def test_they_are_pruned_and_go_with_their_state(self):
        for n in range(3):
            self.put("a", "s", f'{{"data": {{"n": {n}}}}}')
            self.run_cli("checkpoint", "a", "s")
        self.run_cli("prune", "a", "s", code=2)
        self.assertEqual(self.run_json("prune", "a", "s", "--older-than", "1h"), {"pruned": 0})
        self.assertEqual(self.run_cli("prune", "a", "s", "--keep", 1), "2\n")
        self.assertEqual(len(self.run_lines("checkpoints", "a", "s")), 1)
        self.run_cli("rm", "a", "s")
        self.assertEqual(self.sql("SELECT count(*) FROM agent_states_checkpoints"), "0")

    def test_without_their_table(self):
        self.sql("DROP TABLE agent_states_checkpoints")
        for command in (["checkpoint"], ["checkpoints"], ["restore", 1], ["fork", "t"], ["diff", 1], ["prune", "--keep", 1],
                        ["get", "--at", 1]):
            self.run_cli(command[0], "a", "s", *command[1:], code=1)
            self.assertIn("pgstate migrate --checkpoints", self.errors)
        self.run_cli("migrate", "--checkpoints")
        self.run_cli("checkpoint", "a", "s")
        self.assertIn("agent_states_checkpoints", self.run_cli("schema", "--checkpoints"))


class Documents(CliTest):
    def test_a_document_comes_back_to_the_letter(self):
        data = '{"x":1.10,"big":9223372036854775807,"text":"ü\\u0001\\"","zero":-0.5e-7,"list":[1,[],{}]}'
        saved = self.put("a", "s", '{"data": ' + data + ', "own": null}')
        line = self.run_cli("get", "a", "s", "--json")
        self.assertEqual(line.count("\n"), 1)
        found = json.loads(line)
        self.assertEqual(found["data"], json.loads(data))
        self.assertIn('"x":1.10', line)
        self.assertEqual((found["version"], found["updated_at"]), (saved["version"], saved["updated_at"]))
        self.assertEqual((found["history"], found["context"], found["own"], found["expires_at"]), ([], {}, None, None))
        self.assertEqual(self.run_cli("get", "a", "s"), line)  # not on a terminal
        pretty = self.on_terminal("get", "a", "s", NO_COLOR="1")
        self.assertIn('\n  "agent_id": "a",\n', pretty)
        self.assertEqual(json.loads(pretty), found)

    def test_what_get_prints_can_be_put(self):
        self.put("a", "s", '{"data": {"n": 1}, "history": [{"role": "user", "content": "hi"}]}', "--ttl", "1h")
        before = self.run_json("get", "a", "s")
        self.put("other", "copy", json.dumps(before))
        after = self.run_json("get", "other", "copy")
        self.assertEqual((after["data"], after["history"], after["expires_at"]),
                         (before["data"], before["history"], before["expires_at"]))
        self.assertEqual((after["agent_id"], after["session_id"]), ("other", "copy"))
        # What other programs read from the document itself agrees with the columns.
        self.assertEqual(self.sql("SELECT state ->> 'agent_id', state ->> 'version' = version::text,"
                                  " (state ->> 'created_at')::timestamptz = created_at, state ? 'expires_at'"
                                  " FROM agent_states WHERE agent_id = 'other'"), "other|t|t|f")

    def test_put_reads_a_file_and_prints_the_version(self):
        path = self.directory / "document"
        path.write_text('{"data": {}}\n')
        version = self.run_cli("put", "a", "s", path)
        self.assertEqual(int(version), self.run_json("get", "a", "s")["version"])
        self.run_cli("put", "a", "s", self.directory / "missing", code=1)

    def test_put_only_over_a_version(self):
        version = self.put("a", "s", "{}", "--if-version", "0")["version"]
        self.run_cli("put", "a", "s", "--if-version", "0", stdin="{}", code=4)
        self.run_cli("put", "a", "s", "--if-version", version - 1, stdin="{}", code=4)
        self.assertIn(str(version), self.errors)
        self.assertGreater(self.put("a", "s", "{}", "--if-version", str(version))["version"], version)

    def test_a_ttl(self):
        self.assertIsNotNone(self.put("a", "s", "{}", "--ttl", "500ms")["expires_at"])
        wait_until(lambda: self.sql("SELECT expires_at < now() FROM agent_states") == "t")
        self.run_cli("get", "a", "s", code=3)
        self.run_cli("put", "a", "s", "--ttl", "soon", stdin="{}", code=2)
        self.run_cli("put", "a", "s", stdin='{"expires_at": "2020-01-01T00:00:00Z"}', code=2)

    def test_documents_that_are_refused(self):
        for document, why in [
            ('{"data": [1]}', "data is no JSON object"),
            ('{"history": ["secret"]}', "history[0] is a string"),
            ('{"history": [{"role": 7}]}', "history[0].role is a number"),
            ('{"data": {"secret": 1e999}}', "neither a 64-bit integer nor a double"),
            ('{"data": {"secret": "\\u0000"}}', "NUL character"),
            ('{"data":\n {"secret": tru}}', "no valid JSON at line 2"),
            ('{"data": {"secret": 1}', "ends too early"),
            ("[1]", "no JSON object"),
            ('{"expires_at": "tomorrow"}', "expires_at is no RFC 3339 time"),
            ('{"expires_at": {"secret": 1}}', "expires_at is no text"),
            ('{"expires_at": 7}', "expires_at is a number"),
            ("", "ends too early"),
        ]:
            with self.subTest(document):
                self.run_cli("put", "a", "s", stdin=document, code=1)
                self.assertIn(why, self.errors)
                self.assertNotIn("secret", self.errors)
        self.run_cli("get", "a", "s", code=3)

    def test_the_memory_of_a_put(self):
        """Four times the document at most, whatever is in it, and whoever refuses it."""
        size = 40_000_000
        # A process of its own, as the memory of whoever starts the program counts as the program's.
        measure = ("import resource, subprocess, sys; code = subprocess.call(sys.argv[2:], stdin=open(sys.argv[1], 'rb'));"
                   "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)")
        path = self.directory / "large"
        for content, code in [
            ('"' + "x" * size + '"', 0),
            ('"' + "\\n" * (size // 2) + '"', 0),
            ("[" + "1234567890," * (size // 11) + "1]", 0),
            ("[" + "[]," * (size // 3) + "1e999]", 1),
        ]:
            path.write_text('{"data": {"x": ' + content + "}}")
            for source in (path, "-"):
                with self.subTest(content[:5], source=source):
                    done = subprocess.run(
                        [sys.executable, "-c", measure, path, *self.command("put", "a", "s", source, "--timeout", "5m")],
                        capture_output=True, text=True, check=False,
                        env=support.environment(self.url, ASAN_OPTIONS="quarantine_size_mb=1"))
                    self.assertEqual(done.returncode, code, done.stderr)
                    self.assertLess(int(done.stdout.split()[-1]) * 1024, 4 * size)

    def test_rm(self):
        version = self.put("a", "s1")["version"]
        self.put("a", "s2")
        self.put("b", "s")
        self.run_cli("rm", "a", "s1", "--if-version", version + 1, code=4)
        self.run_cli("rm", "a", "s1", "--if-version", version)
        self.run_cli("rm", "a", "s1", code=3)
        self.run_cli("rm", "a", code=2)
        self.run_cli("rm", "a", "--all", code=2)  # nobody can be asked
        self.on_terminal("rm", "a", "--all", typed="n\n", code=1)
        self.assertEqual(len(self.run_lines("ls", "a")), 1)
        self.on_terminal("rm", "a", "--all", typed="y\n")
        self.assertEqual(self.run_json("rm", "--all", "b", "--yes"), {"erased": 1})
        self.run_cli("rm", "--all", "b", "--yes", code=3)
        self.assertEqual(self.run_cli("ls"), "")

    def test_rm_all_of_many_sessions_of_one_time(self):
        for number, time_ in [(2500, "infinity"), (1200, "-infinity"), (1200, "294276-12-31")]:
            self.sql("INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at)"
                     f" SELECT 'a', i, '{{}}', '{time_}', '{time_}' FROM generate_series(1, {number}) i")
            self.assertEqual(len(set(self.run_cli("ls", "a").splitlines())), number)
            self.assertEqual(self.run_json("rm", "a", "--all", "--yes"), {"erased": number})
            self.assertEqual(self.sql("SELECT count(*) FROM agent_states"), "0")

    def test_rm_all_of_an_agent_with_protected_sessions(self):
        for session in ("s1", "s2", "s3"):
            self.put("a", session)
        self.sql("CREATE TABLE keeps (agent_id text, session_id text, FOREIGN KEY (agent_id, session_id)"
                 " REFERENCES agent_states); INSERT INTO keeps VALUES ('a', 's2')")
        self.assertEqual(json.loads(self.run_cli("rm", "a", "--all", "--yes", "--json", code=1)), {"erased": 2})
        self.assertIn("1 session could not be erased", self.errors)
        self.assertIn("23503", self.errors)
        self.assertEqual([line["session_id"] for line in self.run_lines("ls", "a")], ["s2"])

    def test_a_trigger_that_suppresses_the_document(self):
        self.sql("CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                 "CREATE TRIGGER suppress BEFORE UPDATE ON agent_states FOR EACH ROW EXECUTE FUNCTION suppress()")
        self.run_cli("put", "a", "s", stdin='{"data": {"x": 1}}', code=1)
        self.assertIn("suppresses the write", self.errors)
        self.run_cli("get", "a", "s", code=3)


class Tail(CliTest):
    def start(self, *more):
        process = subprocess.Popen(self.command("tail", "--json", "--interval", "20ms", *more), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, env=support.environment(self.url))
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        return process

    def start_and_look(self):
        """A tail that has looked at what was there."""
        process = self.start()
        wait_until(lambda: self.put("begun", "s") and select.select([process.stdout], [], [], 0.2)[0])
        return process

    def next(self, process):
        while (found := json.loads(process.stdout.readline()))["agent_id"] == "begun":
            pass
        return found

    def end(self, process):
        """What it wrote that was not read, and to standard error."""
        process.send_signal(signal.SIGINT)
        lines = [line for line in process.stdout if json.loads(line)["agent_id"] != "begun"]
        errors = process.stderr.read()
        self.assertEqual(process.wait(), 0, errors)
        return lines, errors

    def test_each_version_once(self):
        self.put("before", "s")
        process = self.start_and_look()
        for session in ("s1", "s2", "s1"):
            version = self.put("a", session)["version"]
            self.assertEqual(self.next(process)["version"], version)
        time.sleep(0.2)  # time for what must not come
        self.assertEqual(self.end(process), ([], ""))

    def test_odd_times_hide_nothing(self):
        """A time in the future, or one that RFC 3339 cannot hold, is neither shown twice nor in the way of others."""
        def insert(session, time_):
            self.sql("INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at)"
                     f" VALUES ('a', '{session}', '{{}}', '{time_}', '{time_}')")
        for i in range(3):
            insert(f"before {i}", "infinity")
        process = self.start_and_look()
        for session, time_ in [("s1", "infinity"), ("s2", "2999-01-01"), ("s3", "294276-12-31")]:
            insert(session, time_)
            self.assertEqual(self.next(process)["session_id"], session)
        for session in ("s4", "s1"):
            version = self.put("a", session)["version"]
            self.assertEqual(self.next(process)["version"], version)
        time.sleep(0.2)  # time for what must not come
        self.assertEqual(self.end(process), ([], ""))

    def test_what_cannot_be_read(self):
        self.sql("ALTER TABLE agent_states RENAME TO rows;"
                 "CREATE VIEW agent_states AS SELECT agent_id, session_id, state, created_at, updated_at, expires_at,"
                 " write_name, write_version, CASE WHEN session_id <> 'bad' THEN version END AS version FROM rows")
        insert = "INSERT INTO rows (agent_id, session_id, state) VALUES "
        self.sql(insert + "('a', 'good', '[]')")  # documents are not read
        self.sql(insert + "('a', 'bad', '{}')")
        self.run_cli("tail", code=1)
        self.assertIn("the server's answer has no bigint", self.errors)
        process = self.start("--skip-unreadable")
        self.assertIn('pgstate: skipped agent "a", session "bad": ', process.stderr.readline())
        for session in ("s1", "s2"):
            self.sql(insert + f"('a', '{session}', '[]')")
            self.assertEqual(self.next(process)["session_id"], session)
        self.assertEqual(self.end(process), ([], ""))


class Schema(CliTest):
    migrated = False

    def test_a_missing_table(self):
        for command in (["ls"], ["get", "a", "s"], ["export"], ["tail"], ["rm", "a", "s"]):
            self.run_cli(*command, code=1)
            self.assertIn("'pgstate migrate'", self.errors)

    def test_migrate(self):
        planned = self.run_json("migrate", "--dry-run")
        self.assertEqual((planned["current"], planned["applied"]), (False, False))
        self.assertEqual(self.sql("SELECT count(*) FROM pg_class WHERE relname = 'agent_states'"), "0")
        self.assertIn("CREATE TABLE", self.run_cli("migrate"))
        self.assertIn("up to date", self.run_cli("migrate"))
        planned = self.run_json("migrate", "--dry-run", "--jsonb-index", "--sweep")
        self.assertEqual(len(planned["statements"]), 2)
        self.run_cli("migrate", "--jsonb-index", "--sweep")
        self.assertTrue(self.run_json("migrate", "--dry-run", "--jsonb-index", "--sweep")["current"])

    def test_what_a_migration_does_not_touch(self):
        self.sql("CREATE TABLE agent_states (agent_id int PRIMARY KEY)")
        self.assertIn("in the way", self.run_cli("migrate", code=1))
        self.assertIn("agent_id", self.run_json("migrate", "--dry-run", code=1)["refusals"][0])

    def test_schema_by_hand(self):
        self.sql(self.run_cli("schema", "--indexes", "lean", "--table", "Of ours"))
        self.assertEqual(self.run_json("migrate", "--dry-run", "--indexes", "lean", "--table", "Of ours")["current"], True)
        self.put("a", "s", "{}", "--table", "Of ours")
        self.assertEqual(self.sql('SELECT count(*) FROM "Of ours"'), "1")


class Failures(CliTest):
    migrated = False

    def test_usage(self):
        for arguments in ([], ["fly"], ["get", "a"], ["ls", "--limit", "0"], ["ls", "--color", "pink"],
                          ["ls", "--timeout", "1 year"], ["export", "--resume"], ["tail", "--interval", "1ms"],
                          ["import", "--on-conflict", "shrug"], ["rm", "a", "s", "--all", "--yes"],
                          ["ls", "--table", ""]):
            with self.subTest(arguments):
                self.assertEqual(self.run_cli(*arguments, code=2), "")
                self.assertTrue(self.errors.startswith("pgstate: "), self.errors)
        done = subprocess.run(self.command("ls"), capture_output=True, env=support.environment(), check=False)
        self.assertEqual(done.returncode, 2)  # no DATABASE_URL

    def test_no_connection_and_no_password_in_what_it_says(self):
        secret = "hunter2"
        there = support.SERVER.url
        wrong_password = re.sub(r"//([^:@/]+)(:[^@]*)?@", rf"//\1:{secret}@", there)
        self.assertIn(secret, wrong_password)
        for url, code in [
            (f"postgres://user:{secret}@127.0.0.1:1/db", 5),
            (f"postgres://user:{secret}@no-such-host.invalid/db", 5),
            (wrong_password, 5),
            (f"postgres://user:{secret}@host:port:9/db", 2),
            (f"postgres://user:{secret}@127.0.0.1:1/db?pool_max_conns=many", 2),
            (f"host=127.0.0.1 port=1 password={secret}", 5),
        ]:
            for command in (["ls"], ["doctor"]):
                with self.subTest(url=url, command=command):
                    shown = self.run_cli(*command, "--database-url", url, "--timeout", "5s", code=code)
                    self.assertNotIn(secret, shown + self.errors)
                    self.assertTrue(shown or self.errors)
        self.run_cli("ls", f"postgres://user:{secret}@host/db", "too", "many", code=2)
        self.assertNotIn(secret, self.errors)
        self.run_cli("ls", f"--database-ur=postgres://user:{secret}@host/db", code=2)
        self.assertNotIn(secret, self.errors)

    def test_results_that_cannot_be_written(self):
        self.run_cli("migrate")
        self.put("a", "s")
        for command in (["get", "a", "s"], ["export"], ["ls"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run(self.command(*command), stdout=full, stderr=subprocess.PIPE, text=True,
                                      env=support.environment(self.url), check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("cannot", done.stderr)


class Appearance(CliTest):
    def test_colours_only_where_they_are_wanted(self):
        self.put("a", "s")
        for arguments, environment, colored in [
            ([], {}, True),
            ([], {"NO_COLOR": "1"}, False),
            ([], {"TERM": "dumb"}, False),
            (["--color", "never"], {}, False),
            (["--color", "always"], {"NO_COLOR": "1"}, True),
        ]:
            with self.subTest(arguments=arguments, environment=environment):
                self.assertEqual(ESCAPE in self.on_terminal("get", "a", "s", *arguments, **environment), colored)
        self.assertNotIn(ESCAPE, self.run_cli("get", "a", "s"))
        self.assertNotIn(ESCAPE, self.run_cli("doctor"))
        self.assertIn(ESCAPE, self.run_cli("doctor", "--color", "always") + self.on_terminal("doctor"))

    def test_help_and_version(self):
        self.assertRegex(self.run_cli("--version"), r"^pgstate \d+\.\d+\.\d+\n$")
        whole = self.run_cli("--help")
        for command in self.commands():
            self.assertIn(f"  {command} ", whole)
            self.assertIn("Usage: pgstate", self.run_cli(command, "--help"))

    def test_the_examples_of_help(self):
        block = self.run_cli("--help").split("Examples:\n")[1].split("\n\n")[0]
        lines = [line.strip() for line in block.splitlines() if not line.strip().startswith("export DATABASE_URL")]
        self.assertGreater(len(lines), 8)
        path = os.path.dirname(support.PROGRAM) + ":" + os.environ["PATH"]
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", "\n".join(lines)], capture_output=True, text=True,
                              cwd=self.directory, env=support.environment(self.url, PATH=path), check=False)
        self.assertEqual((done.returncode, done.stderr.count("exported 1 states")), (0, 1), done.stderr)

    def commands(self):
        return ("ls get put rm checkpoint checkpoints restore fork diff prune tail migrate schema doctor export import"
                " completion").split()

    def complete(self, *words):
        script = ('source <("$0" completion bash); COMP_WORDS=(pgstate "$@"); COMP_CWORD=$#; _pgstate; '
                  'echo "${COMPREPLY[*]}"')
        done = subprocess.run(["bash", "-c", script, support.PROGRAM, *words], capture_output=True, text=True, check=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_completion_in_bash(self):
        self.assertEqual(self.complete(""), self.commands())
        self.assertEqual(self.complete("do"), ["doctor"])
        self.assertEqual(self.complete("--table", "x", "ex"), ["export"])
        self.assertEqual(self.complete("import", "--on"), ["--on-conflict"])
        self.assertEqual(self.complete("import", "--on-conflict", "s"), ["skip"])
        self.assertEqual(self.complete("ls", "--color", "a"), ["auto", "always"])
        self.assertEqual(self.complete("migrate", "--history", "r"), ["rows"])
        self.assertEqual(self.complete("completion", ""), ["bash", "zsh", "fish"])
        self.assertIn("--json", self.complete("get", "--"))

    def test_completion_in_other_shells(self):
        for shell in ("zsh", "fish"):
            script = self.run_cli("completion", shell)
            for command in self.commands():
                self.assertIn(command, script)
            self.assertIn("on-conflict", script)


if __name__ == "__main__":
    unittest.main()
