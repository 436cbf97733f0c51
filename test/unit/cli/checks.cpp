#include "cli/checks.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

using namespace pgstate::cli;

namespace {

/// What a sound server and table give.
facts sound() {
    facts read;
    read.server_version = 150018;
    read.exists = true;
    read.table = "\"t\"";
    read.role = "r";
    read.max_connections = 100;
    read.reserved_connections = 3;
    read.pool_size = 4;
    read.expired_rows = 0;
    read.newest_version = 7;
    read.last_drawn = 7;
    read.rows = rows_seen{7, 0, {}, true};
    read.histories_in_rows = true;
    read.messages_table = "\"m\"";
    read.orphans = read.incomplete = histories_seen{};
    return read;
}

finding look(const std::string& name, const facts& read) {
    for (const auto& each : checks())
        if (each.name == name) return each.look(read).value_or(finding{severity::ok, "does not apply"});
    FAIL("there is no check " << name);
    return {};
}

struct fault {
    std::string check;
    severity expected;
    std::function<void(facts&)> plant;
    std::vector<std::string> also_skipped{}; ///< checks that cannot look because of it
};

const std::vector<fault> faults{
    {"connection", severity::advice, [](facts& f) { f.round_trip = std::chrono::milliseconds(51); }},
    {"version", severity::problem, [](facts& f) { f.server_version = 130010; }},
    {"primary", severity::problem, [](facts& f) { f.standby = true; }},
    {"primary", severity::problem, [](facts& f) { f.read_only = true; }},
    {"tls", severity::advice, [](facts& f) { f.over_network = true; }},
    {"pooler", severity::advice, [](facts& f) { f.pooler = true; }, {"tls", "connections"}},
    {"connections", severity::problem, [](facts& f) { f.pool_size = 98; }},
    {"connections", severity::advice, [](facts& f) { f.used_connections = 94; }},
    {"durability", severity::problem, [](facts& f) { f.fsync = false; }},
    {"durability", severity::problem, [](facts& f) { f.full_page_writes = false; }},
    {"durability", severity::problem, [](facts& f) { f.unlogged = true; }},
    {"durability", severity::advice, [](facts& f) { f.synchronous_commit = "off"; }},
    {"schema", severity::problem, [](facts& f) { f.exists = false; }},
    {"privileges", severity::problem, [](facts& f) { f.missing_on_messages = {"INSERT"}; }},
    {"histories", severity::advice,
     [](facts& f) {
         f.orphans = histories_seen{1, {"a"}};
     }},
    {"histories", severity::problem,
     [](facts& f) {
         f.incomplete = histories_seen{10'000, {"a"}};
     }},
    {"histories", severity::skipped, [](facts& f) { f.orphans.reset(); }},
    {"histories", severity::skipped, [](facts& f) { f.incomplete.reset(); }},
    {"schema", severity::problem, [](facts& f) { f.refusals = {"x"}; }},
    {"schema", severity::problem, [](facts& f) { f.missing = {"x"}; }},
    {"privileges", severity::problem, [](facts& f) { f.missing_privileges = {"INSERT"}; }},
    {"migrations", severity::advice, [](facts& f) { f.owns_table = false; }},
    {"migrations", severity::advice, [](facts& f) { f.exists = f.may_create = false; }},
    {"row-security", severity::advice, [](facts& f) { f.policies = facts::row_security::bypassed; }},
    {"row-security",
     severity::ok,
     [](facts& f) { f.policies = facts::row_security::applies; },
     {"versions", "expired", "histories", "rows"}},
    {"invalid-indexes", severity::problem, [](facts& f) { f.invalid_indexes = {"i"}; }},
    {"versions", severity::problem, [](facts& f) { f.last_drawn = 6; }},
    {"versions", severity::skipped, [](facts& f) { f.last_drawn.reset(); }},
    {"versions", severity::skipped, [](facts& f) { f.newest_version.reset(); }},
    {"versions",
     severity::problem,
     [](facts& f) { f.last_drawn = 6, f.policies = facts::row_security::applies; },
     {"expired", "histories", "rows"}},
    {"bloat", severity::skipped, [](facts& f) { f.counted = false; }, {"heap-only-updates"}},
    {"bloat", severity::advice, [](facts& f) { f.live_rows = 40'000, f.dead_rows = 10'000; }},
    {"heap-only-updates", severity::advice, [](facts& f) { f.updates = 1'000, f.hot_updates = 499; }},
    {"expired", severity::advice, [](facts& f) { f.expired_rows = 1'000; }},
    {"expired", severity::skipped, [](facts& f) { f.expired_rows.reset(); }},
    {"rows", severity::skipped, [](facts& f) { f.rows.reset(); }},
    {"rows", severity::skipped, [](facts& f) { f.rows->all = false; }},
    {"rows", severity::problem, [](facts& f) { f.rows->unreadable = 1, f.rows->which = {"x"}; }},
    {"rows", severity::problem,
     [](facts& f) { f.rows->all = false, f.rows->unreadable = 9, f.rows->which = {"x"}; }},
    // Within the limits.
    {"tls", severity::ok, [](facts& f) { f.over_network = true, f.tls = "TLSv1.3"; }},
    {"connections",
     severity::skipped,
     [](facts& f) { f.pool_size = 500, f.pooler = true; },
     {"pooler", "tls"}},
    {"connections", severity::ok, [](facts& f) { f.used_connections = 93; }},
    {"bloat", severity::ok, [](facts& f) { f.dead_rows = 9'999; }},
    {"bloat", severity::ok, [](facts& f) { f.live_rows = 40'001, f.dead_rows = 10'000; }},
    {"heap-only-updates", severity::ok, [](facts& f) { f.updates = 999; }},
    {"heap-only-updates", severity::ok, [](facts& f) { f.updates = 1'000, f.hot_updates = 500; }},
    {"expired", severity::ok, [](facts& f) { f.expired_rows = 999; }},
};

} // namespace

TEST_CASE("doctor has nothing to say about a sound table", "[cli]") {
    for (const auto& each : checks()) {
        const auto what = each.look(sound());
        CAPTURE(each.name);
        if (!what) continue;
        CHECK(what->status == severity::ok);
        CHECK(what->what_to_do.empty());
    }
}

TEST_CASE("doctor finds each fault, says what to do, and blames nothing else", "[cli]") {
    const auto planted = GENERATE(from_range(faults));
    CAPTURE(planted.check);
    auto read = sound();
    planted.plant(read);
    const auto found = look(planted.check, read);
    CHECK(found.status == planted.expected);
    CHECK(!found.found.empty());
    CHECK(found.what_to_do.empty() == (planted.expected == severity::ok));
    if (!read.exists) return; // two checks have to do with that
    for (const auto& each : checks()) {
        CAPTURE(each.name);
        if (each.name == planted.check) continue;
        const bool also = std::ranges::find(planted.also_skipped, each.name) != planted.also_skipped.end();
        const auto other = look(std::string(each.name), read);
        CHECK((also ? other.status != severity::ok && !other.what_to_do.empty()
                    : other.status == severity::ok));
    }
}
