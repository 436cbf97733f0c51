"""Histories in rows: moving them, and what reads and writes documents beside them."""
import json
import signal
import subprocess
import threading
from pathlib import Path

import support
from support import CliTest, wait_until


def lines_of(text):
    """A message can have what str.splitlines() takes for the end of a line."""
    return text.split("\n")[:-1]


def exported(lines):
    """States of an export by their keys, without their versions."""
    states = {}
    for line in lines_of(lines):
        state = json.loads(line)
        state.pop("version")
        states[state["agent_id"], state["session_id"]] = state
    return states


class HistoriesTest(CliTest):
    def fill(self, number=200):
        support.write_states(self.directory / "states", number)
        self.run_cli("import", self.directory / "states")

    def put_message(self, session, text, *more):
        return self.put("a", session, json.dumps({"data": {"n": 1}, "history": [{"role": "user", "content": text}]}), *more)

    def to(self, layout, *more, code=0):
        done = json.loads(self.run_cli("migrate", "--history", layout, "--json", *more, code=code))
        return done["history"]

    def in_rows(self):
        return int(self.sql("SELECT count(*) FROM agent_states WHERE epoch IS NOT NULL"))

    def message_rows(self):
        return int(self.sql("SELECT count(*) FROM agent_states_messages"))

    def append(self, session, text):
        """An append of a store that knows both layouts."""
        message = json.dumps({"role": "user", "content": text})
        self.sql("SET default_transaction_isolation = 'read committed';"
                 f"WITH w AS (UPDATE agent_states SET version = DEFAULT, messages = messages + 1, state = CASE WHEN epoch"
                 f" IS NULL THEN jsonb_set(state, '{{history}}', (state -> 'history') || '{message}') ELSE state END"
                 f" WHERE agent_id = 'a' AND session_id = '{session}' RETURNING *) INSERT INTO agent_states_messages"
                 f" SELECT agent_id, session_id, epoch, messages - 1, NULL, '{message}' FROM w WHERE epoch IS NOT NULL")


class Moving(HistoriesTest):
    def test_there_and_back(self):
        self.fill()
        before = self.run_cli("export")
        messages = sum(len(json.loads(line)["history"]) for line in lines_of(before))
        done = self.to("rows")
        self.assertEqual((done["layout"], done["states"], done["messages"], done["left"]), ("rows", 200, messages, 0))
        self.assertEqual((self.in_rows(), self.message_rows()), (200, messages))
        self.assertEqual(self.sql("SELECT DISTINCT state ->> 'history' FROM agent_states"), "rows")
        self.assertEqual(self.run_cli("export"), before)  # the versions too
        done = self.to("rows")
        self.assertEqual((done["states"], done["messages"], done["left"]), (0, 0, 0))
        self.assertIn("the histories of 0 states", self.run_cli("migrate", "--history", "rows"))
        self.assertTrue(self.run_json("migrate", "--dry-run", "--history", "rows")["current"])
        done = self.to("document", "--batch", 7)
        self.assertEqual((done["layout"], done["states"], done["messages"], done["left"]), ("document", 200, messages, 0))
        self.assertEqual((self.in_rows(), self.message_rows()), (0, 0))
        self.assertEqual(self.run_cli("export"), before)
        self.assertEqual(self.to("document")["states"], 0)
        self.assertTrue(self.run_json("migrate", "--dry-run")["current"])  # nothing was dropped

    def test_to_document_where_there_are_no_rows(self):
        self.put_message("s", "hi")
        done = self.to("document")
        self.assertEqual((done["states"], done["left"]), (0, 0))
        self.assertEqual(self.sql("SELECT to_regclass('agent_states_messages') IS NULL"), "t")

    def test_a_dry_run_moves_nothing(self):
        self.put_message("s", "hi")
        self.assertIn("would be moved to rows", self.run_cli("migrate", "--dry-run", "--history", "rows"))
        self.assertEqual(self.sql("SELECT to_regclass('agent_states_messages') IS NULL"), "t")
        self.run_cli("migrate", "--batch", 1, code=2)

    def test_what_stays_of_a_row(self):
        self.put_message("s", "hi", "--ttl", "1h")
        columns = "SELECT version, created_at, updated_at, expires_at, write_name FROM agent_states"
        self.sql("UPDATE agent_states SET write_name = gen_random_uuid()")
        before = self.sql(columns)
        for layout in ("rows", "document"):
            self.assertEqual(self.to(layout)["states"], 1)
            self.assertEqual(self.sql(columns), before)

    def test_a_guard_gives_new_versions(self):
        self.run_cli("migrate", "--guard")
        version = self.put_message("s", "hi")["version"]
        self.assertEqual(self.to("rows", "--guard")["states"], 1)
        state = self.run_json("get", "a", "s")
        self.assertGreater(state["version"], version)
        self.assertEqual(state["history"][0]["content"], "hi")

    def test_ids_of_messages(self):
        ids = ["one", "", "x" * 256, "ü" * 129, 7, None]
        self.put("a", "s", json.dumps({"history": [{"role": "user", "content": "c", "id": each} for each in ids]}))
        self.to("rows")
        self.assertEqual(self.sql("SELECT seq || coalesce(' ' || length(id), '') FROM agent_states_messages ORDER BY seq"),
                         "0 3\n1\n2 256\n3\n4\n5")
        self.assertEqual([m["id"] for m in self.run_json("get", "a", "s")["history"]], ids)

    def test_odd_histories(self):
        insert = "INSERT INTO agent_states (agent_id, session_id, state) VALUES "
        self.put_message("good", "hi")
        for session, state in [("null", '{"history": null}'), ("none", "{}")]:
            self.sql(insert + f"('a', '{session}', '{state}')")
        odd = [("number", '{"history": [7]}'), ("object", '{"history": {"secret": 1}}'), ("array", "[]"),
               ("word", '{"history": "rows"}')]
        for session, state in odd:
            self.sql(insert + f"('a', '{session}', '{state}')")
        done = self.to("rows", code=1)
        self.assertEqual((done["states"], done["messages"], done["left"]), (3, 1, 4))
        self.assertEqual({each["session_id"] for each in done["left_states"]}, {session for session, _ in odd})
        for session, state in odd:
            self.assertIn(f'agent "a", session "{session}": its history is no array of objects', self.errors)
            self.assertEqual(json.loads(self.sql(f"SELECT state FROM agent_states WHERE session_id = '{session}'")),
                             json.loads(state))
        self.assertNotIn("secret", self.errors)
        self.assertIn("the histories of 4 states were left", self.errors)
        self.assertEqual(self.run_json("get", "a", "null")["history"], [])
        self.assertEqual(self.run_json("get", "a", "none")["history"], [])

    def test_messages_that_are_gone(self):
        for session in ("s", "t"):
            self.put_message(session, "hi")
        self.to("rows")
        self.sql("DELETE FROM agent_states_messages WHERE session_id = 's'")
        done = self.to("document", code=1)
        self.assertEqual((done["states"], done["left"], done["left_states"][0]["session_id"]), (1, 1, "s"))
        self.run_cli("export", code=1)
        self.assertIn('session "s": the messages in rows are not those', self.errors)
        self.assertEqual(len(self.run_cli("export", "--skip-unreadable").splitlines()), 1)
        self.run_cli("get", "a", "s", code=1)

    def test_a_history_that_the_server_refuses(self):
        """Keys of a state, but too long for an index of the messages."""
        self.put_message("good", "hi")
        self.sql("INSERT INTO agent_states (agent_id, session_id, state) SELECT 'a', string_agg(md5(i::text), ''),"
                 " '{\"history\": [{\"role\": \"user\", \"content\": \"x\"}]}' FROM generate_series(1, 83) i")
        self.sql("UPDATE agent_states SET state = jsonb_set(state, '{history,0,id}', to_jsonb((SELECT string_agg(md5(i::text), '')"
                 " FROM generate_series(101, 108) i))) WHERE session_id <> 'good'")
        done = self.to("rows", code=1)
        self.assertEqual((done["states"], done["left"]), (1, 1))
        self.assertIn("54000", done["left_states"][0]["reason"])

    def test_a_trigger_that_suppresses_the_write(self):
        self.run_cli("migrate", "--history", "rows")
        for session in ("good", "kept"):
            self.put_message(session, "hi")
        self.sql("CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                 "CREATE TRIGGER suppress BEFORE UPDATE ON agent_states FOR EACH ROW WHEN (OLD.session_id = 'kept')"
                 " EXECUTE FUNCTION suppress()")
        before = self.run_cli("export")
        done = self.to("rows", code=1)
        self.assertEqual((done["states"], done["left"]), (1, 1))
        self.assertIn('session "kept": a trigger', self.errors)
        self.assertEqual(self.run_cli("export"), before)
        self.assertEqual(self.to("document")["states"], 1)
        self.sql("ALTER TABLE agent_states DISABLE TRIGGER suppress")
        self.to("rows")
        self.sql("ALTER TABLE agent_states ENABLE TRIGGER suppress")
        self.assertEqual(self.to("document", code=1)["left"], 1)
        self.assertEqual(self.message_rows(), 1)
        self.assertEqual(self.run_cli("export"), before)

    def test_killed_and_run_again(self):
        for session in "abcdefgh":
            self.put_message(session, "hi " + session)
        before = self.run_cli("export")
        self.sql(self.run_cli("schema", "--history", "rows"))
        for layout in ("rows", "document"):
            holder = subprocess.Popen([support.psql_program(), self.url, "-XAtq"], stdin=subprocess.PIPE, text=True,
                                      stdout=subprocess.PIPE, env=support.environment())
            holder.stdin.write("BEGIN; SELECT 1 FROM agent_states WHERE session_id = 'e' FOR UPDATE;\n")
            holder.stdin.flush()
            self.assertEqual(holder.stdout.readline(), "1\n")
            mover = subprocess.Popen(self.command("migrate", "--history", layout, "--batch", 1), stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL, env=support.environment(self.url))
            wait_until(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                        " AND query LIKE '%FOR NO KEY UPDATE%'") == "1")
            mover.send_signal(signal.SIGKILL)
            mover.wait()
            self.assertEqual(self.in_rows(), 4)
            self.assertEqual(self.run_cli("export"), before)
            holder.stdin.write("COMMIT;\n")
            holder.stdin.close()
            holder.wait()
            holder.stdout.close()
            wait_until(lambda: self.sql("SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%FOR NO KEY UPDATE%'"
                                        " AND pid <> pg_backend_pid()") == "0")
            self.assertEqual(self.to(layout)["states"], 4)
            self.assertEqual(self.run_cli("export"), before)
        self.assertEqual(self.message_rows(), 0)

    def test_while_others_append(self):
        sessions = [f"s{i}" for i in range(30)]
        for session in sessions:
            self.put_message(session, "first")
        self.sql(self.run_cli("schema", "--history", "rows"))
        stop = threading.Event()
        appended = {session: ["first"] for session in sessions}
        failures = []

        def append_until_stopped(mine):
            try:
                for number in range(1_000_000):
                    for session in mine:
                        self.append(session, f"m{number}")
                        appended[session].append(f"m{number}")
                    if stop.is_set():
                        return
            except Exception as e:  # noqa: BLE001 - whatever it is, the test fails with it
                failures.append(e)

        writers = [threading.Thread(target=append_until_stopped, args=(sessions[i::2],)) for i in range(2)]
        for each in writers:
            each.start()
        try:
            for layout in ("rows", "document", "rows"):
                for batch in (1, 1000):
                    self.assertEqual(self.to(layout, "--batch", batch)["left"], 0)
        finally:
            stop.set()
            for each in writers:
                each.join()
        self.assertEqual(failures, [])
        self.assertEqual(self.in_rows(), 30)
        for key, state in exported(self.run_cli("export")).items():
            self.assertEqual([m["content"] for m in state["history"]], appended[key[1]])
        self.assertEqual(self.message_rows(), sum(map(len, appended.values())))

    def test_while_agents_work_and_the_program_is_killed(self):
        """64 agents of the example agent_runtime, which proves that no turn of theirs is lost or repeated."""
        runtime = Path(support.SERVER.program).parent / "agent_runtime"
        self.run_cli("migrate", "--history", "rows")
        agents = subprocess.Popen([runtime, "--database", self.url, "--table", "agent_states", "--rows", "--agents", "64",
                                   "--sessions", "2", "--pace", "20", "--window", "3",
                                   "--ack-file", self.directory / "acks"],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=support.environment())
        said = []
        reader = threading.Thread(target=lambda: said.append(agents.stdout.read()))
        reader.start()
        moves = {"killed": 0, "ended": 0}
        try:
            while agents.poll() is None or moves["ended"] == 0:
                for layout in ("document", "rows"):
                    mover = subprocess.Popen(self.command("migrate", "--history", layout, "--batch", 3),
                                             stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                             env=support.environment(self.url))
                    if sum(moves.values()) % 4 < 2:  # in the middle, wherever that is
                        wanted = "IS NULL" if layout == "document" else "IS NOT NULL"
                        wait_until(lambda: mover.poll() is not None or agents.poll() is not None or self.sql(
                            f"SELECT count(*) > 2 FROM agent_states WHERE epoch {wanted}") == "t")
                        mover.kill()
                        moves["killed"] += 1
                    else:
                        moves["ended"] += 1
                    complaint = mover.communicate()[1]
                    self.assertIn(mover.returncode, (0, -signal.SIGKILL), complaint)
        finally:
            agents.kill()
            agents.wait()
            reader.join()
            agents.stdout.close()
        self.assertEqual(agents.returncode, 0, said)
        self.assertGreater(moves["killed"], 0)
        self.assertGreater(moves["ended"], 0)
        self.assertEqual(self.to("rows")["left"], 0)
        self.assertEqual(self.sql("SELECT count(*) FROM agent_states t WHERE messages <> (SELECT count(*) FROM"
                                  " agent_states_messages m WHERE (m.agent_id, m.session_id, m.epoch) ="
                                  " (t.agent_id, t.session_id, t.epoch))"), "0")
        self.assertEqual(self.message_rows(), int(self.sql("SELECT sum(messages) FROM agent_states")))

    def test_backup_and_restore(self):
        """As examples/guide/operating.md has it."""
        self.run_cli("migrate", "--history", "rows")
        self.put_message("s", "first")
        self.to("rows")
        version = self.run_json("checkpoint", "a", "s")["version"]
        self.put_message("s", "second")
        self.put_message("t", "third")
        tables = [f"--table=agent_states{each}" for each in ("", "_messages", "_checkpoints")]
        dump = str(Path(support.psql_program()).parent / "pg_dump")
        data = self.directory / "data.sql"
        subprocess.run([dump, "--data-only", *tables, f"--file={data}", self.url], check=True, env=support.environment())
        other = support.SERVER.fresh_database()
        self.run_cli("migrate", "--history", "rows", url=other)
        subprocess.run([support.psql_program(), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", data, other], check=True,
                       stdout=subprocess.DEVNULL, env=support.environment())
        self.assertEqual(self.run_cli("export", url=other), self.run_cli("export"))
        at = self.run_json("get", "a", "s", "--at", version, url=other)
        self.assertEqual([each["content"] for each in at["history"]], ["first"])
        self.assertGreater(json.loads(self.run_cli("put", "a", "new", "--json", stdin="{}", url=other))["version"], version)

    def test_checkpoints(self):
        self.run_cli("migrate", "--checkpoints")
        first = self.put_message("s", "in the document")["version"]
        self.run_cli("checkpoint", "a", "s")
        self.to("rows")
        self.append("s", "in rows")
        second = self.run_json("checkpoint", "a", "s")["version"]
        self.append("s", "later")
        third = self.run_json("checkpoint", "a", "s")["version"]
        self.put_message("s", "another")  # into the document; the messages of the checkpoints stay
        self.assertEqual(self.message_rows(), 3)
        self.put_message("other", "hi")
        versions = {first: 1, second: 2, third: 3}

        def look():
            found = {version: self.run_json("get", "a", "s", "--at", version) for version in versions}
            self.assertEqual({version: len(state["history"]) for version, state in found.items()}, versions)
            return found

        before = look()
        self.assertEqual(self.run_json("diff", "a", "s", second, third)[0]["value"]["content"], "later")
        done = self.to("document")
        self.assertEqual((done["states"], done["checkpoints"]), (0, 2))
        self.assertEqual(self.message_rows(), 0)
        self.assertEqual(look(), before)
        self.to("rows")
        self.assertEqual(look(), before)
        restored = self.run_json("restore", "a", "s", second)["version"]
        self.assertEqual(len(self.run_json("get", "a", "s")["history"]), 2)
        self.to("rows")
        self.assertGreater(restored, third)

    def test_checkpoints_of_a_state_in_rows(self):
        self.put_message("s", "one")
        self.to("rows")
        first = self.run_json("checkpoint", "a", "s")["version"]
        self.append("s", "two")
        before = self.run_cli("export")
        done = self.to("document")
        self.assertEqual((done["states"], done["messages"], done["checkpoints"]), (1, 2, 1))
        self.assertEqual((self.run_cli("export"), self.message_rows()), (before, 0))
        self.assertEqual([m["content"] for m in self.run_json("get", "a", "s", "--at", first)["history"]], ["one"])
        self.run_cli("restore", "a", "s", first)
        self.assertEqual(len(self.run_json("get", "a", "s")["history"]), 1)

    def test_expired_states_are_moved(self):
        self.put_message("s", "hi")
        self.sql("UPDATE agent_states SET expires_at = now()")
        for layout in ("rows", "document"):
            self.assertEqual(self.to(layout)["states"], 1)


class Documents(HistoriesTest):
    def test_commands_on_a_state_in_rows(self):
        self.put("a", "s", '{"data": {"history": "mine"}, "history": [{"role": "user", "content": "x", "n": 1.10}], "zz": ","}')
        before = self.run_cli("get", "a", "s", "--json")
        self.to("rows")
        self.assertEqual(self.run_cli("get", "a", "s", "--json"), before)
        self.assertIn('"n":1.10', before)
        version = self.run_json("checkpoint", "a", "s")["version"]
        self.assertEqual(self.run_lines("checkpoints", "a", "s")[0]["messages"], 1)
        self.assertEqual(self.run_cli("get", "a", "s", "--json", "--at", version), before)
        self.append("s", "y")
        self.assertEqual([each["op"] for each in self.run_json("diff", "a", "s", version)], ["add"])
        self.run_cli("fork", "a", "s", "t", "--at", version)
        self.assertEqual(len(self.run_json("get", "a", "t")["history"]), 1)
        self.run_cli("restore", "a", "s", version)
        self.assertEqual(len(self.run_json("get", "a", "s")["history"]), 1)
        self.run_cli("prune", "a", "s", "--keep", 0)
        self.put("a", "s", '{"history": [{"role": "user", "content": "new"}]}')
        self.assertEqual(self.run_json("get", "a", "s")["history"][0]["content"], "new")
        self.assertEqual(self.sql("SELECT count(*) FROM agent_states_messages WHERE session_id = 's'"), "0")
        self.run_cli("rm", "--all", "a", "--yes")
        self.assertEqual(self.message_rows(), 0)

    def test_pages_of_long_histories(self):
        for i in range(12):
            self.put("a", f"s{i:02}", json.dumps({"history": [{"role": "user", "content": "x" * 1000}] * (1000 + i)}))
        before = self.run_cli("export")
        self.to("rows")
        self.assertEqual(self.run_cli("export"), before)
        self.to("document")
        self.assertEqual(self.run_cli("export"), before)

    def test_import_beside_rows(self):
        self.fill()
        before = self.run_cli("export")
        path = self.directory / "exported"
        path.write_text(before)
        self.to("rows")
        for how in ("fail", "skip", "replace"):
            self.assertEqual(self.run_json("import", path, "--on-conflict", how), {"states": 200, "written": 0})
        self.assertEqual(self.in_rows(), 200)

        key = next(key for key, state in exported(before).items() if len(state["history"]) > 1)
        where = "agent_id = '{}' AND session_id = '{}'".format(*(part.replace("'", "''") for part in key))
        self.sql(f"UPDATE agent_states_messages SET message = message || '{{\"content\": \"else\"}}' WHERE seq = 1 AND {where}")
        self.run_cli("import", path, code=4)
        self.assertEqual(self.run_json("import", path, "--on-conflict", "skip")["written"], 0)
        self.assertEqual(self.run_json("import", path, "--on-conflict", "replace")["written"], 1)
        self.assertEqual(exported(self.run_cli("export")), exported(before))
        self.assertEqual(self.sql(f"SELECT epoch IS NULL FROM agent_states WHERE {where}"), "t")
        self.assertEqual(self.sql(f"SELECT count(*) FROM agent_states_messages WHERE {where}"), "0")
        self.assertEqual(self.to("rows")["states"], 1)
        self.assertEqual(exported(self.run_cli("export")), exported(before))

        other = support.SERVER.fresh_database()
        self.run_cli("migrate", "--history", "rows", url=other)
        self.assertEqual(self.run_json("import", path, url=other)["written"], 200)
        self.assertEqual(exported(self.run_cli("export", url=other)), exported(before))

    def test_a_document_without_its_messages(self):
        self.to("rows")
        line = ('{"agent_id":"a","session_id":"s","data":{},"history":"rows","context":{}}')
        for command in (["import"], ["put", "a", "s"]):
            self.run_cli(*command, stdin=line + "\n", code=1)
            self.assertIn('its "history" is "rows"', self.errors)
        self.assertEqual(self.run_cli("export"), "")
