#include "integration/migration/support.hpp"

#include <chrono>
#include <string>

using namespace pgstate;
using namespace pgstate_test;

namespace {

struct sweeping_fixture : migration_fixture {
    sweeping_fixture() { sweep.period = std::chrono::minutes(1); }

    std::string definition(const std::string& name) {
        return text("SELECT indexdef FROM pg_indexes WHERE indexname = '" + name + "'");
    }
    std::int64_t over_expiry() {
        return number("SELECT count(*) FROM pg_indexes WHERE indexdef LIKE '%(expires_at)%'");
    }
};

const std::string expiry_index = "idx_agent_states_expires_at";

} // namespace

TEST_CASE("a store that sweeps gets a partial index, once", "[migration][sweep]") {
    sweeping_fixture db;
    SECTION("with the table") {
        db.migrate();
    }
    SECTION("in a table that is there") {
        db.exec(go_schema);
        db.migrate();
    }
    SECTION("by hand") {
        db.exec(schema::schema_sql(db.resolved()));
        db.exec(schema::schema_sql(db.resolved()));
    }
    CHECK(db.definition(expiry_index) ==
          "CREATE INDEX idx_agent_states_expires_at ON public.agent_states USING btree (expires_at) WHERE "
          "(expires_at IS NOT NULL)");
    const auto before = db.snapshot();
    db.verify();
    db.migrate();
    CHECK(db.snapshot() == before);
}

TEST_CASE("a store that does not sweep, or a lean one, leaves the partial index out", "[migration][sweep]") {
    sweeping_fixture db;
    db.migrate({.indexes = index_mode::lean});
    CHECK(db.over_expiry() == 0);
    db.verify({.indexes = index_mode::lean});
    mentions(db.verify_failure(),
             "\"idx_agent_states_expires_at\" on (expires_at) WHERE (expires_at IS NOT NULL)");
    db.sweep.period = {};
    db.migrate();
    CHECK(db.over_expiry() == 0);
    // One that is there already does no harm.
    db.sweep.period = std::chrono::minutes(1);
    db.migrate();
    CHECK(db.over_expiry() == 1);
    db.sweep.period = {};
    CHECK_NOTHROW(db.verify());
    CHECK_NOTHROW(db.verify({.indexes = index_mode::lean}));
}

TEST_CASE("the sweeper's index may have another name, or be over all rows", "[migration][sweep]") {
    sweeping_fixture db;
    db.sweep.period = {};
    db.migrate();
    SECTION("another name") {
        db.exec("CREATE INDEX mine ON agent_states (expires_at) WHERE expires_at IS NOT NULL");
    }
    SECTION("over all rows") {
        db.exec("CREATE INDEX mine ON agent_states (expires_at)");
    }
    db.sweep.period = std::chrono::minutes(1);
    db.verify();
    db.migrate();
    CHECK(db.over_expiry() == 1);
}

TEST_CASE("an index of other rows does not serve the sweeper", "[migration][sweep]") {
    sweeping_fixture db;
    db.sweep.period = {};
    db.migrate();
    db.exec("CREATE INDEX other ON agent_states (expires_at) WHERE version > 5");
    db.sweep.period = std::chrono::minutes(1);
    db.verify_failure();
    db.migrate();
    CHECK(db.over_expiry() == 2);
    db.verify();
}

TEST_CASE("a partial index is none of those over all rows", "[migration][sweep]") {
    migration_fixture db;
    db.migrate();
    db.exec("DROP INDEX idx_agent_states_updated_at;"
            "CREATE INDEX partial ON agent_states (updated_at) WHERE version > 5");
    mentions(db.verify_failure(), "index \"idx_agent_states_updated_at\" on (updated_at) is missing");
    db.migrate();
    db.verify();
}

TEST_CASE("a name that another index has is a refusal", "[migration][sweep]") {
    sweeping_fixture db;
    db.sweep.period = {};
    db.migrate();
    db.exec("CREATE INDEX " + expiry_index + " ON agent_states (expires_at) WHERE version > 5");
    db.sweep.period = std::chrono::minutes(1);
    const auto before = db.snapshot();
    const auto failure = db.migrate_failure();
    CHECK(failure == errc::schema_mismatch);
    mentions(failure, "the name \"idx_agent_states_expires_at\" is taken");
    mentions(failure, "(expires_at) WHERE (expires_at IS NOT NULL)");
    CHECK(db.snapshot() == before);
}
