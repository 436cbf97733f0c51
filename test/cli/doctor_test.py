"""doctor finds each fault that is planted."""
import re

import support
from support import CliTest, wait_until


class Doctor(CliTest):
    def look(self, *arguments, code=0, url=None):
        """The findings by the check's name."""
        return {f["check"]: f for f in self.run_json("doctor", *arguments, code=code, url=url)}

    def assert_finding(self, finding, status, part):
        self.assertEqual(finding["status"], status, finding)
        self.assertIn(part, finding["found"])
        self.assertTrue(finding["what_to_do"])

    def test_a_sound_table(self):
        self.put("a", "s")
        found = self.look()
        self.assertEqual({f["status"] for f in found.values()}, {"ok"})
        self.assertEqual({f["what_to_do"] for f in found.values()}, {None})
        self.assertIn("PostgreSQL", found["connection"]["found"])
        text = self.run_cli("doctor")
        self.assertEqual([line.split("\t")[1] for line in text.splitlines()], list(found))

    def test_a_missing_table(self):
        self.assert_finding(self.look("--table", "other", code=1)["schema"], "problem", "does not exist")

    def test_a_dropped_index(self):
        self.sql("DROP INDEX idx_agent_states_updated_at")
        self.assert_finding(self.look(code=1)["schema"], "problem", "idx_agent_states_updated_at")
        self.assertEqual(self.look("--indexes", "lean")["schema"]["status"], "ok")

    def test_an_invalid_index(self):
        self.put("a", "s1")
        self.put("a", "s2")
        with self.assertRaises(RuntimeError):
            self.sql("CREATE UNIQUE INDEX CONCURRENTLY broken ON agent_states (agent_id)")
        self.assert_finding(self.look(code=1)["invalid-indexes"], "problem", "broken")

    def role(self, name, grants):
        """The connection string of a new role, which has these privileges on the table."""
        self.sql(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'; GRANT {grants} ON agent_states TO {name}")
        return re.sub(r"//[^@/]*@", f"//{name}:secret@", self.url)

    def test_missing_privileges(self):
        url = self.role("reader", "SELECT, UPDATE")
        found = self.look(url=url, code=1)
        self.assert_finding(found["privileges"], "problem", "INSERT, DELETE")
        self.assert_finding(found["migrations"], "advice", "does not own")
        self.sql(found["privileges"]["what_to_do"])
        self.assertEqual(self.look(url=url)["privileges"]["status"], "ok")

    def test_a_role_that_may_not_read(self):
        url = self.role("writer", "INSERT")
        self.assert_finding(self.look(url=url, code=1)["privileges"], "problem", "SELECT, UPDATE, DELETE")

    def test_a_drifted_column(self):
        self.sql("ALTER TABLE agent_states ALTER COLUMN version DROP DEFAULT")
        self.assert_finding(self.look(code=1)["schema"], "problem", '"version" has no default')

    def test_a_column_that_is_gone(self):
        self.sql("ALTER TABLE agent_states DROP COLUMN expires_at")
        found = self.look(code=1)
        self.assert_finding(found["schema"], "problem", '"expires_at" is missing')
        self.assertEqual(found["schema"]["what_to_do"], "run 'pgstate migrate'")
        self.run_cli("migrate")
        self.look()

    def test_no_heap_only_updates(self):
        self.sql("INSERT INTO agent_states (agent_id, session_id, state) SELECT 'a', i, '{}' FROM generate_series(1, 2000) i")
        self.sql("UPDATE agent_states SET updated_at = clock_timestamp()")
        finding = wait_until(lambda: (f := self.look()["heap-only-updates"])["status"] != "ok" and f)
        self.assert_finding(finding, "advice", "0 % of 2,000 updates")
        self.assertIn("lean", finding["what_to_do"])

    def test_expired_states(self):
        self.sql("INSERT INTO agent_states (agent_id, session_id, state, expires_at)"
                 " SELECT 'a', i, '{}', now() FROM generate_series(1, 1500) i")
        self.assert_finding(self.look()["expired"], "advice", "1,500")

    def test_dead_rows(self):
        self.sql("ALTER TABLE agent_states SET (autovacuum_enabled = false)")
        self.sql("INSERT INTO agent_states (agent_id, session_id, state) SELECT 'a', i, '{}' FROM generate_series(1, 11000) i")
        self.sql("DELETE FROM agent_states")
        self.assert_finding(wait_until(lambda: (f := self.look()["bloat"])["status"] != "ok" and f), "advice", "11,000 dead")

    def test_settings_of_the_server(self):
        self.url = support.SERVER.fresh_database()
        self.run_cli("migrate")
        database = self.sql("SELECT current_database()")
        self.sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
        self.assert_finding(self.look()["durability"], "advice", "synchronous_commit")
        self.sql(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
        self.assert_finding(self.look(code=1)["primary"], "problem", "read-only")

    def test_a_pool_that_does_not_fit(self):
        url = self.url + ("&" if "?" in self.url else "?") + "pool_max_conns=5000"
        self.assert_finding(self.look(url=url, code=1)["connections"], "problem", "a pool of 5000")
