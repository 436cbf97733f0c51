#include "integration/migration/support.hpp"

#include <exception>
#include <string>

using namespace pgstate;
using namespace pgstate_test;

namespace {

// A role that owns nothing, and a schema that it may use. Roles belong to the server: it goes with the fixture.
class role_fixture : public migration_fixture {
public:
    role_fixture() : role_(text("SELECT 'weak \"role\" of ' || current_database()")) {
        exec("CREATE ROLE " + quoted() + " NOLOGIN; CREATE SCHEMA app; GRANT USAGE ON SCHEMA app TO " +
             quoted());
    }
    ~role_fixture() {
        try {
            exec("RESET ROLE; DROP OWNED BY " + quoted() + "; DROP ROLE " + quoted());
        } catch (const std::exception&) { // a failed test may have lost the connection
        }
    }
    role_fixture(const role_fixture&) = delete;
    role_fixture& operator=(const role_fixture&) = delete;

    std::string quoted() const { return settings::quote_identifier(role_); }
    void become_role() { exec("SET ROLE " + quoted()); }
    void become_owner() { exec("RESET ROLE"); }

private:
    std::string role_;
};

const std::string app_table = "app.agent_states";

} // namespace

TEST_CASE("a role without any right but to look opens a current table", "[migration]") {
    role_fixture db;
    db.migrate({}, app_table);
    db.become_role();
    CHECK_NOTHROW(db.migrate({}, app_table));
    CHECK_NOTHROW(db.verify({}, app_table));
}

TEST_CASE("a role that may not create the table is told what to grant", "[migration]") {
    role_fixture db;
    db.become_role();
    const auto failure = db.migrate_failure({}, app_table);
    CHECK(failure == sqlstate::insufficient_privilege);
    CHECK(failure.sqlstate() == "42501");
    const auto grant = "GRANT CREATE ON SCHEMA \"app\" TO " + db.quoted();
    mentions(failure, grant);
    mentions(failure, "schema_sql()");

    db.become_owner();
    db.exec(grant); // as the message says
    db.become_role();
    CHECK_NOTHROW(db.migrate({}, app_table));
}

TEST_CASE("a role that does not own an older table is told to let the owner do it", "[migration]") {
    role_fixture db;
    db.exec("SET search_path = app");
    db.exec(go_schema);
    db.exec("GRANT ALL ON ALL TABLES IN SCHEMA app TO " + db.quoted() + "; GRANT ALL ON SCHEMA app TO " +
            db.quoted());
    const auto before = db.snapshot();
    db.become_role();
    const auto failure = db.migrate_failure({}, app_table);
    CHECK(failure.sqlstate() == "42501");
    mentions(failure, "only the table's owner");
    db.become_owner();
    CHECK(db.snapshot() == before);
}

TEST_CASE("a role that may not use the schema is told so", "[migration]") {
    role_fixture db;
    db.migrate({}, app_table);
    db.exec("REVOKE USAGE ON SCHEMA app FROM " + db.quoted());
    db.become_role();
    const auto failure = db.verify_failure({}, app_table);
    CHECK(failure.sqlstate() == "42501");
    mentions(failure, "GRANT USAGE ON SCHEMA \"app\" TO " + db.quoted());
}
