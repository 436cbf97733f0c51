#include "config/resolved.hpp"
#include "pgstate/operations.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using pgstate::settings::longest_duration;
using pgstate::settings::resolve;

pgstate::config with(std::string connection_string) {
    return {.connection_string = std::move(connection_string)};
}

/// Checks that `config` is refused with all of `parts` in the message, and without the secrets of these tests.
void check_refused(const pgstate::config& config, const std::vector<std::string_view>& parts) {
    const auto failure = pgstate_test::failure_of([&] { resolve(config); });
    const std::string_view message = failure.what();
    CAPTURE(message);
    CHECK(failure == pgstate::errc::invalid_argument);
    CHECK(failure.operation() == "config");
    for (const auto part : parts)
        CHECK(message.find(part) != message.npos);
    CHECK(message.find("hunter2") == message.npos);
    CHECK(message.find("secret") == message.npos);
}

/// DATABASE_URL for one test case, and what it was again afterwards.
class environment {
public:
    // NOLINTBEGIN(concurrency-mt-unsafe): no other thread runs meanwhile
    environment() {
        if (const char* value = std::getenv(name)) before_ = value;
    }
    ~environment() { set(before_); }
    environment(const environment&) = delete;
    environment& operator=(const environment&) = delete;

    static void set(const std::optional<std::string>& value) {
        if (value)
            ::setenv(name, value->c_str(), 1);
        else
            ::unsetenv(name);
    }
    // NOLINTEND(concurrency-mt-unsafe)

private:
    static constexpr const char* name = "DATABASE_URL";
    std::optional<std::string> before_;
};

} // namespace

TEST_CASE("a connection string alone resolves to the documented defaults", "[config]") {
    const auto resolved = resolve(with("postgres://u:p@h/db"));
    CHECK(resolved.libpq_conninfo == "postgres://u:p@h/db");
    CHECK_FALSE(resolved.connect_timeout_given);
    CHECK(resolved.pool.max_conns == std::max<std::size_t>(4, std::thread::hardware_concurrency()));
    CHECK(resolved.pool.min_conns == 0);
    CHECK(resolved.pool.min_idle_conns == 0);
    CHECK(resolved.pool.max_conn_lifetime == 1h);
    CHECK(resolved.pool.max_conn_lifetime_jitter == 0s);
    CHECK(resolved.pool.max_conn_idle_time == 30min);
    CHECK(resolved.pool.health_check_period == 1min);
    CHECK(resolved.pool.connect_timeout == 10s);
    CHECK(resolved.pool.validate_after_idle == 30s);
    CHECK(resolved.batch.enabled);
    CHECK(resolved.batch.max_operations == 128);
    CHECK(resolved.batch.shards >= 1);
    CHECK(resolved.batch.shards <= resolved.pool.max_conns / 4);
    CHECK(resolved.table.quoted() == R"("agent_states")");
    CHECK(resolved.operation_timeout == 30s);
    CHECK(resolved.statements == pgstate::statement_mode::prepared);
}

TEST_CASE("a connection string's pool settings win over the configuration's", "[config]") {
    for (
        const std::string_view form :
        {"postgres://u:p@h/db?pool_max_conns=8&pool_min_conns=3&pool_min_idle_conns=2&pool_max_conn_lifetime=2h&"
         "pool_max_conn_lifetime_jitter=5m&pool_max_conn_idle_time=90s&pool_health_check_period=500ms&connect_timeout=3",
         "pool_max_conns=8 pool_min_conns=3 pool_min_idle_conns=2 pool_max_conn_lifetime=2h "
         "pool_max_conn_lifetime_jitter=5m pool_max_conn_idle_time=90s pool_health_check_period='500ms' "
         "connect_timeout=3"}) {
        CAPTURE(form);
        auto config = with(std::string(form));
        config.pool.max_conns = 100;
        config.pool.min_conns = 50;
        config.pool.max_conn_lifetime = 7min;
        config.pool.validate_after_idle = 0s;
        bool called = false;
        config.pool.after_connect = [&](pqxx::connection&) { called = true; };

        const auto resolved = resolve(config);
        CHECK(resolved.pool.max_conns == 8);
        CHECK(resolved.pool.min_conns == 3);
        CHECK(resolved.pool.min_idle_conns == 2);
        CHECK(resolved.pool.max_conn_lifetime == 2h);
        CHECK(resolved.pool.max_conn_lifetime_jitter == 5min);
        CHECK(resolved.pool.max_conn_idle_time == 90s);
        CHECK(resolved.pool.health_check_period == 500ms);
        CHECK(resolved.pool.validate_after_idle == 0s);
        CHECK(resolved.pool.after_connect);
        CHECK_FALSE(resolved.pool.before_acquire);
        CHECK(resolved.connect_timeout_given);
        CHECK(resolved.libpq_conninfo.find("pool_") == std::string::npos);
        CHECK(resolved.libpq_conninfo.find("connect_timeout=3") != std::string::npos);
    }
}

TEST_CASE("of a repeated pool setting the last one counts, as for libpq's own", "[config]") {
    CHECK(resolve(with("postgres://h?pool_max_conns=2&pool_max_conns=3")).pool.max_conns == 3);
    CHECK(resolve(with("pool_max_conns=3 host=h pool_max_conns=2")).pool.max_conns == 2);
}

TEST_CASE("pool settings alone leave everything else to libpq's defaults", "[config]") {
    const auto resolved = resolve(with("pool_max_conns=5"));
    CHECK(resolved.libpq_conninfo.empty());
    CHECK(resolved.pool.max_conns == 5);
}

TEST_CASE("settings outside their range are refused by name", "[config]") {
    struct out_of_range {
        std::string_view name;
        std::function<void(pgstate::config&)> change;
    };
    for (const auto& one : std::vector<out_of_range>{
             {"config.pool.max_conns", [](auto& c) { c.pool.max_conns = 10'001; }},
             {"config.pool.min_conns", [](auto& c) { c.pool.max_conns = 3, c.pool.min_conns = 4; }},
             {"config.pool.min_conns", [](auto& c) { c.pool.min_conns = 10'000; }},
             {"config.pool.min_idle_conns", [](auto& c) { c.pool.max_conns = 3, c.pool.min_idle_conns = 4; }},
             {"config.pool.max_conn_lifetime)", [](auto& c) { c.pool.max_conn_lifetime = 0s; }},
             {"config.pool.max_conn_lifetime)", [](auto& c) { c.pool.max_conn_lifetime = -1s; }},
             {"config.pool.max_conn_lifetime_jitter",
              [](auto& c) { c.pool.max_conn_lifetime_jitter = -1ms; }},
             {"config.pool.max_conn_idle_time", [](auto& c) { c.pool.max_conn_idle_time = 0s; }},
             {"config.pool.health_check_period", [](auto& c) { c.pool.health_check_period = 0s; }},
             {"config.pool.connect_timeout", [](auto& c) { c.pool.connect_timeout = 0s; }},
             {"config.pool.validate_after_idle", [](auto& c) { c.pool.validate_after_idle = -1ms; }},
             {"config.tuning.batch.max_operations", [](auto& c) { c.tuning.batch.max_operations = 0; }},
             {"config.tuning.batch.max_operations", [](auto& c) { c.tuning.batch.max_operations = 10'001; }},
             {"config.tuning.batch.max_bytes", [](auto& c) { c.tuning.batch.max_bytes = 1023; }},
             {"config.tuning.batch.max_in_flight", [](auto& c) { c.tuning.batch.max_in_flight = 0; }},
             {"config.tuning.batch.max_in_flight", [](auto& c) { c.tuning.batch.max_in_flight = 17; }},
             {"config.tuning.batch.shards", [](auto& c) { c.tuning.batch.shards = 5, c.pool.max_conns = 4; }},
             {"config.pending.max_operations", [](auto& c) { c.pending.max_operations = 0; }},
             {"config.pending.max_operations", [](auto& c) { c.pending.max_operations = 10'000'001; }},
             {"config.pending.max_bytes", [](auto& c) { c.pending.max_bytes = 1023; }},
             {"config.pending.max_bytes", [](auto& c) { c.pending.max_bytes = (std::size_t{1} << 39) + 1; }},
             {"config.schema.migrate",
              [](auto& c) { c.schema.migrate = static_cast<pgstate::migrate_mode>(3); }},
             {"config.schema.indexes",
              [](auto& c) { c.schema.indexes = static_cast<pgstate::index_mode>(-1); }},
             {"config.tuning.lock_wait", [](auto& c) { c.tuning.lock_wait = -1ms; }},
             {"config.tuning.lock_wait", [](auto& c) { c.tuning.lock_wait = 24h + 1ms; }},
             {"config.tuning.statements",
              [](auto& c) { c.tuning.statements = static_cast<pgstate::statement_mode>(2); }},
             {"config.operation_timeout", [](auto& c) { c.operation_timeout = -1ms; }},
             {"config.default_ttl", [](auto& c) { c.default_ttl = -1ms; }},
             {"config.default_ttl", [](auto& c) { c.default_ttl = pgstate::max_ttl + 1ms; }},
             {"config.sweep.period", [](auto& c) { c.sweep.period = -1ms; }},
             {"config.sweep.period", [](auto& c) { c.sweep.period = 99ms; }},
             {"config.sweep.period", [](auto& c) { c.sweep.period = 24h + 1ms; }},
             {"config.sweep.batch", [](auto& c) { c.sweep.batch = 0; }},
             {"config.sweep.batch", [](auto& c) { c.sweep.batch = 10'001; }},
             {"config.telemetry.slow_operation", [](auto& c) { c.telemetry.slow_operation = -1ms; }},
             {"table_name", [](auto& c) { c.table_name = ""; }},
             {"connection_string", [](auto& c) { c.connection_string = ""; }},
         }) {
        CAPTURE(one.name);
        auto config = with("postgres://u:hunter2@h/db");
        one.change(config);
        check_refused(config, {one.name});
    }
}

TEST_CASE("settings at the ends of their ranges are taken", "[config]") {
    auto config = with("host=h");
    config.pool = {.max_conns = 10'000,
                   .min_conns = 10'000,
                   .min_idle_conns = 10'000,
                   .max_conn_lifetime = 1ms,
                   .max_conn_idle_time = 1ms,
                   .health_check_period = 1ms,
                   .connect_timeout = 1ms,
                   .validate_after_idle = 0ms};
    config.tuning.batch = {
        .enabled = false, .max_operations = 10'000, .max_bytes = 1024, .max_in_flight = 16, .shards = 10'000};
    config.pending = {.max_operations = 10'000'000, .max_bytes = std::size_t{1} << 39};
    config.schema = {pgstate::migrate_mode::off, pgstate::index_mode::lean, true};
    config.tuning.statements = pgstate::statement_mode::unnamed;
    config.tuning.lock_wait = 24h;
    config.operation_timeout = 0ms;
    config.table_name = "app.States";
    const auto resolved = resolve(config);
    CHECK(resolved.pool.min_idle_conns == 10'000);
    CHECK_FALSE(resolved.batch.enabled);
    CHECK(resolved.batch.max_in_flight == 16);
    CHECK(resolved.batch.shards == 10'000);
    CHECK(resolved.pending.max_operations == 10'000'000);
    CHECK(resolved.pending.max_bytes == std::size_t{1} << 39);
    CHECK(resolved.schema.migrate == pgstate::migrate_mode::off);
    CHECK(resolved.schema.indexes == pgstate::index_mode::lean);
    CHECK(resolved.schema.jsonb_index);
    CHECK(resolved.statements == pgstate::statement_mode::unnamed);
    CHECK(resolved.lock_wait == 24h);
    CHECK(resolved.operation_timeout == 0ms);
    CHECK(resolved.table.quoted() == R"("app"."States")");

    config.pool = {.max_conns = 1, .min_conns = 1, .min_idle_conns = 1};
    config.tuning.batch = {.max_operations = 1, .max_in_flight = 1, .shards = 1};
    config.pending = {.max_operations = 1, .max_bytes = 1024};
    CHECK(resolve(config).pool.max_conns == 1);
    config.tuning.batch.shards = 0;
    CHECK(resolve(config).batch.shards == 1);
}

TEST_CASE("a duration that means never can be added to a time", "[config]") {
    auto config = with("host=h pool_max_conn_idle_time=2562047h");
    config.pool.max_conn_lifetime = std::chrono::milliseconds::max();
    config.pool.max_conn_lifetime_jitter = std::chrono::milliseconds::max();
    config.operation_timeout = std::chrono::milliseconds::max();
    const auto resolved = resolve(config);
    CHECK(resolved.pool.max_conn_lifetime == longest_duration);
    CHECK(resolved.pool.max_conn_lifetime_jitter == longest_duration);
    CHECK(resolved.pool.max_conn_idle_time == longest_duration);
    CHECK(resolved.operation_timeout == longest_duration);
    const auto now = std::chrono::steady_clock::now();
    CHECK(now + resolved.pool.max_conn_lifetime + resolved.pool.max_conn_lifetime_jitter > now);
}

TEST_CASE("a pool setting's bad value is refused with its name and its rule", "[config]") {
    struct bad {
        std::string_view setting;
        std::string_view value;
        std::string_view rule;
    };
    for (const auto& one : std::vector<bad>{
             {"pool_max_conns", "10001", "1 to 10000; it is 10001"},
             {"pool_max_conns", "-1", "whole number from 0 to 10000, not \"-1\""},
             {"pool_max_conns", "5x", "not \"5x\""},
             {"pool_max_conns", "", "not empty"},
             {"pool_max_conns", "5.0", "not \"5.0\""},
             {"pool_max_conns", "99999999999999999999999", "whole number"},
             {"pool_min_conns", "many", "not \"many\""},
             {"pool_min_conns", "9999", "at most max_conns"},
             {"pool_min_idle_conns", "0x1", "whole number"},
             {"pool_max_conn_lifetime", "0", "positive"},
             {"pool_max_conn_lifetime", "-1h", "a duration such as 1h30m"},
             {"pool_max_conn_lifetime", "60", "not \"60\""},
             {"pool_max_conn_lifetime_jitter", "1d", "not \"1d\""},
             {"pool_max_conn_idle_time", "0s", "positive"},
             {"pool_health_check_period", "0ms", "positive"},
             {"pool_health_check_period", "9999999h", "not \"9999999h\""},
         }) {
        const auto pair = std::string(one.setting).append("=").append(one.value);
        for (const auto& text : {"postgres://u:hunter2@h/db?" + pair, "password=hunter2 host=h " + pair}) {
            CAPTURE(text);
            check_refused(with(text), {one.setting, one.rule});
        }
    }
    // Zero means the same as in config.pool.
    CHECK(resolve(with("pool_max_conns=0")).pool.max_conns >= 4);
    CHECK(resolve(with("pool_max_conn_lifetime_jitter=0")).pool.max_conn_lifetime_jitter == 0s);
}

TEST_CASE("the sweeper is off unless it has a period", "[config]") {
    CHECK(resolve(with("host=h")).sweep.period == 0ms);
    CHECK(resolve(with("host=h")).sweep.batch == 500);
    auto config = with("host=h");
    for (const std::chrono::milliseconds period : {100ms, 86'400'000ms})
        for (const std::size_t batch : {1U, 10'000U}) {
            config.sweep = {.period = period, .batch = batch};
            CHECK(resolve(config).sweep.period == period);
            CHECK(resolve(config).sweep.batch == batch);
        }
}

TEST_CASE("an unknown pool setting is refused by name, with the known ones", "[config]") {
    for (const std::string_view text :
         {"postgres://u:hunter2@h/db?pool_size=5", "password=hunter2 pool_size=5", "pool_size=hunter2",
          "postgres://h?pool_size=hunter2"})
        check_refused(with(std::string(text)),
                      {"\"pool_size\"", "pool_max_conns", "pool_min_conns", "pool_min_idle_conns",
                       "pool_max_conn_lifetime,", "pool_max_conn_lifetime_jitter", "pool_max_conn_idle_time",
                       "pool_health_check_period"});
    check_refused(with("pool_=1"), {"\"pool_\""});
}

TEST_CASE("a password drawn into a pool setting by mistake is not shown", "[config]") {
    for (const std::string_view text :
         {"pool_max_conns=5;password=hunter2", "pool_max_conns=5&password=hunter2",
          "pool_max_conns='5 password=hunter2'", "pool_max_conns=5,hunter2",
          "postgres://h?pool_max_conns=5;password:hunter2",
          "postgres://h?pool_max_conns=5%26password%3Dhunter2",
          "postgres://h?pool_max_conn_idle_time=5s/hunter2", "pool_size;hunter2=5"}) {
        CAPTURE(text);
        check_refused(with(std::string(text)), {"pool"});
    }
}

TEST_CASE("the configuration from the environment is DATABASE_URL and the defaults", "[config]") {
    const environment restored_afterwards;
    environment::set("postgres://u:p@h/db?pool_max_conns=7");
    const auto config = pgstate::config::from_environment();
    CHECK(config.connection_string == "postgres://u:p@h/db?pool_max_conns=7");
    CHECK(config.table_name == "agent_states");
    CHECK(resolve(config).pool.max_conns == 7);

    for (const auto& nothing : {std::optional<std::string>(""), std::optional<std::string>()}) {
        environment::set(nothing);
        const auto failure = pgstate_test::failure_of([] { pgstate::config::from_environment(); });
        CHECK(failure == pgstate::errc::invalid_argument);
        CHECK(failure.operation() == "config::from_environment");
        CHECK(pgstate_test::names(failure, "DATABASE_URL"));
    }
}

TEST_CASE("session settings have the names of settings, each once", "[config]") {
    auto config = with("postgresql://");
    for (const std::string name : {"role", "TimeZone", "app.tenant_id", "a.b.c$1", "_x._y"}) {
        CAPTURE(name);
        config.session_settings = {{name, "any 'text' \\ \u00e4"}};
        CHECK(resolve(config).session_settings.front().name == name);
    }
    for (const std::string name :
         {"", "secret name", ".x", "x.", "a..b", "1a", "a.1", "x'y", "x\"y", "x;y", "\u00e4"}) {
        CAPTURE(name);
        config.session_settings = {{"app.fine", "1"}, {name, "secret value"}};
        check_refused(config, {"session_settings: the name at index 1"});
    }
    config.session_settings = {{"app.x", "1"}, {"APP.X", "2"}};
    check_refused(config, {"\"APP.X\" is there twice"});
    config.session_settings = {{"Client_Encoding", "LATIN1"}};
    check_refused(config, {"\"Client_Encoding\""});
}

TEST_CASE("a session setting's value is text that PostgreSQL takes, and is not repeated", "[config]") {
    auto config = with("postgresql://");
    for (const auto& value :
         {std::string("secret\0", 7), std::string("secret\xff"), std::string("secret\xc3")}) {
        config.session_settings = {{"app.tenant_id", value}};
        check_refused(config, {"\"app.tenant_id\" has a value"});
    }
    config.session_settings = {{"app.tenant_id", ""}};
    CHECK(resolve(config).session_settings.front().value.empty());
}
