// What a store makes of servers that change their parts: a primary that ends and a standby that is promoted, a server
// that no longer takes writes, a standby that is asked in the place of its primary.

#include "fault/pending_outcome.hpp"
#include "fault/proxy.hpp"
#include "pgstate/embedded_server.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::embedded_server;
using pgstate::errc;

namespace {

namespace fs = std::filesystem;
using promotion_clock = std::chrono::steady_clock;

pgstate::embedded_server_options quick() {
    pgstate::embedded_server_options made;
    made.settings["fsync"] = "off";
    return made;
}

/// A directory beside the primary's, removed at the end.
class standby_directory {
public:
    explicit standby_directory(const embedded_server& primary)
        : path_((primary.data_directory().parent_path() / "pgstate-standby-XXXXXX").string()) {
        if (!::mkdtemp(path_.data())) throw std::runtime_error("no directory can be made for the standby");
    }
    standby_directory(const standby_directory&) = delete;
    standby_directory& operator=(const standby_directory&) = delete;
    ~standby_directory() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

/// Gives all of `directory` to the user who runs `primary`.
void give_to_owner_of(const embedded_server& primary, const fs::path& directory) {
    struct stat owner {};
    REQUIRE(::stat(primary.data_directory().c_str(), &owner) == 0);
    const auto give = [&](const fs::path& path) {
        REQUIRE(::lchown(path.c_str(), owner.st_uid, owner.st_gid) == 0);
    };
    give(directory);
    for (const auto& each : fs::recursive_directory_iterator(directory))
        give(each.path());
}

/// A server that has got ready to be the other's standby, and follows it.
embedded_server make_standby(const embedded_server& primary, const std::string& directory) {
    const auto copy = (primary.bin_directory() / "pg_basebackup").string() + " --pgdata=" + directory +
                      " --write-recovery-conf --checkpoint=fast --wal-method=stream --dbname='" +
                      primary.connection_string() + "'";
    REQUIRE(std::system(copy.c_str()) == 0);
    give_to_owner_of(primary, directory);
    auto options = quick();
    options.data_directory = directory;
    return embedded_server(options);
}

void execute(const embedded_server& server, const std::string& sql,
             const std::string& database = "postgres") {
    pqxx::connection connection(server.connection_string(database));
    pqxx::nontransaction(connection).exec(sql);
}

bool is_true(const embedded_server& server, const std::string& sql,
             const std::string& database = "postgres") {
    pqxx::connection connection(server.connection_string(database));
    return pqxx::nontransaction(connection).exec(sql)[0][0].as<bool>();
}

void wait_until_true(const embedded_server& server, const std::string& sql,
                     const std::string& database = "postgres") {
    for (const auto deadline = promotion_clock::now() + patience; !is_true(server, sql, database);)
        if (promotion_clock::now() > deadline) throw std::runtime_error("it never came true: " + sql);
}

/// Names both servers, and wants the one that takes writes.
std::string writer_of(const embedded_server& one, const embedded_server& other, const std::string& database) {
    return "host=" + one.socket_directory().string() + "," + other.socket_directory().string() +
           " port=" + std::to_string(one.port()) + "," + std::to_string(other.port()) +
           " user=postgres dbname=" + database + " target_session_attrs=read-write";
}

/// Adds one to a number of its own, again and again, until it is told to stop.
struct counting_client {
    int acknowledged = 0;
    int unknown = 0;
    int since_the_change = 0;
};

} // namespace

TEST_CASE("a promoted standby takes over under load, and nothing acknowledged is lost", "[promotion]") {
    constexpr std::size_t clients = 32;
    embedded_server primary(quick());
    primary.create_database("agents");
    const standby_directory directory(primary);
    auto standby = make_standby(primary, directory.path());
    wait_until_true(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'streaming'");
    // What is acknowledged is on both.
    execute(primary, "ALTER SYSTEM SET synchronous_standby_names = '*'");
    execute(primary, "SELECT pg_reload_conf()");
    wait_until_true(primary, "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");

    asio::io_context context;
    pgstate::config config;
    config.connection_string = writer_of(primary, standby, "agents") + " pool_max_conns=4";
    config.operation_timeout = 20s;
    auto store = run(context, [&]() -> asio::awaitable<pgstate::postgres_store> {
        co_return co_await pgstate::postgres_store::open(context.get_executor(), config);
    });

    std::vector<counting_client> counts(clients);
    bool changed = false;
    bool stop = false;
    std::size_t running = clients;
    pgstate::change_options creating;
    creating.create = true;
    const auto count = [&](std::size_t which) -> asio::awaitable<void> {
        auto& mine = counts[which];
        const auto session = std::to_string(which);
        while (!stop) {
            const bool after = changed;
            const auto done = co_await store.increment("a", session, "/data/count", 1, creating, as_result);
            if (done.has_value()) {
                ++mine.acknowledged;
                if (after) ++mine.since_the_change;
            } else if (done.error() == errc::outcome_unknown) {
                ++mine.unknown;
            } else {
                FAIL_CHECK(done.error().what());
                break;
            }
        }
        --running;
    };
    for (std::size_t i = 0; i < clients; ++i)
        asio::co_spawn(context, count(i), asio::detached);
    const auto all_have = [&](int least, int counting_client::*what) {
        return std::all_of(counts.begin(), counts.end(),
                           [&](const auto& each) { return each.*what >= least; });
    };
    run_until(context, [&] { return running == 0 || all_have(5, &counting_client::acknowledged); });

    primary.stop(embedded_server::shutdown::immediate);
    execute(standby, "ALTER SYSTEM SET synchronous_standby_names = ''");
    execute(standby, "SELECT pg_reload_conf()");
    execute(standby, "SELECT pg_promote(true)");
    changed = true;
    const auto promoted = promotion_clock::now();
    run_until(context, [&] { return running == 0 || all_have(1, &counting_client::since_the_change); });
    const auto recovered = promotion_clock::now() - promoted;
    stop = true;
    run_until(context, [&] { return running == 0; });
    INFO("from the promotion until every client went on: "
         << std::chrono::duration_cast<std::chrono::milliseconds>(recovered).count() << " ms");
    CHECK(recovered < 5s);

    int unknown = 0;
    for (std::size_t i = 0; i < clients; ++i) {
        CAPTURE(i);
        const auto session = std::to_string(i);
        const auto state = run(context, [&]() -> asio::awaitable<std::optional<agent_state>> {
            co_return co_await store.load("a", session);
        });
        REQUIRE(state.has_value());
        const auto there = state->data.at("count").to_number<int>();
        CHECK(there >= counts[i].acknowledged);
        CHECK(there <= counts[i].acknowledged + counts[i].unknown);
        unknown += counts[i].unknown;
    }
    INFO("unknown: " << unknown);
    run(context, [&]() -> asio::awaitable<void> {
        const auto health = co_await store.health_check();
        CHECK_FALSE(health.read_only);
        co_await store.close();
    });
}

TEST_CASE("connections to a server that no longer takes writes are retired, whoever finds out",
          "[promotion]") {
    embedded_server before(quick());
    embedded_server after(quick());
    for (auto* each : {&before, &after})
        each->create_database("agents");
    asio::io_context context;
    pgstate::config config;
    config.connection_string = writer_of(before, after, "agents") + " pool_max_conns=2";
    auto store = run(context, [&]() -> asio::awaitable<pgstate::postgres_store> {
        co_return co_await pgstate::postgres_store::open(context.get_executor(), config);
    });
    // The tables of two servers that know nothing of each other tell which of them was asked.
    execute(after, pgstate::postgres_store::schema_sql(config), "agents");
    run(context, [&]() -> asio::awaitable<void> {
        const agent_state state("a", "before");
        co_await store.save(state);
    });

    execute(before, "ALTER SYSTEM SET default_transaction_read_only = on");
    execute(before, "SELECT pg_reload_conf()");
    wait_until_true(before, "SELECT current_setting('default_transaction_read_only')::boolean");

    SECTION("a save") {
        run(context, [&]() -> asio::awaitable<void> {
            const agent_state state("a", "after");
            co_await store.save(state);
        });
    }
    SECTION("a load, which the server would answer") {
        // The server tells of its change with the first answer after it, at the latest.
        run(context, [&]() -> asio::awaitable<void> {
            (void)co_await store.load("a", "before");
            const auto again = co_await store.load("a", "before");
            CHECK_FALSE(again.has_value());
        });
    }
    SECTION("a transaction") {
        run(context, [&]() -> asio::awaitable<void> {
            const auto work = [](pgstate::transaction& tx) { tx.save(agent_state("a", "after")); };
            const auto first = co_await store.transaction(work, as_result);
            if (first.has_error()) {
                CHECK(first.error() == pgstate::sqlstate::read_only_sql_transaction);
                co_await store.transaction(work);
            }
        });
    }
    SECTION("a function with a connection") {
        run(context, [&]() -> asio::awaitable<void> {
            const auto work = [](pqxx::connection& c) {
                pqxx::nontransaction(c).exec("DELETE FROM agent_states");
            };
            const auto first = co_await store.pool().with_connection(work, as_result);
            if (first.has_error()) {
                CHECK(first.error() == pgstate::sqlstate::read_only_sql_transaction);
                co_await store.pool().with_connection(work);
            }
        });
    }
    run(context, [&]() -> asio::awaitable<void> {
        const auto health = co_await store.health_check();
        CHECK_FALSE(health.read_only);
        const auto old = co_await store.load("a", "before");
        CHECK_FALSE(old.has_value());
        co_await store.close();
    });
}

TEST_CASE("a connection that was refused a write is given up, also where any server will do", "[promotion]") {
    // A name or a balancer may lead to another server by then.
    embedded_server server(quick());
    asio::io_context context;
    pgstate::config config;
    config.connection_string = server.connection_string() + "&pool_max_conns=1";
    run(context, [&]() -> asio::awaitable<void> {
        auto store = co_await pgstate::postgres_store::open(context.get_executor(), config);
        execute(server, "ALTER SYSTEM SET default_transaction_read_only = on");
        execute(server, "SELECT pg_reload_conf()");
        wait_until_true(server, "SELECT current_setting('default_transaction_read_only')::boolean");
        const auto connects = [&] { return store.pool().stats().new_conns_count; };

        const auto before_transaction = connects();
        const auto work = [](pgstate::transaction& tx) { tx.save(agent_state("a", "s")); };
        const auto refused = co_await store.transaction(work, as_result);
        REQUIRE(refused.has_error());
        CHECK(refused.error() == pgstate::sqlstate::read_only_sql_transaction);
        (void)co_await store.count();
        CHECK(connects() == before_transaction + 1);

        const auto before_function = connects();
        const auto sql = [](pqxx::connection& c) {
            pqxx::nontransaction(c).exec("DELETE FROM agent_states");
        };
        const auto refused_too = co_await store.pool().with_connection(sql, as_result);
        REQUIRE(refused_too.has_error());
        CHECK(refused_too.error() == pgstate::sqlstate::read_only_sql_transaction);
        (void)co_await store.count();
        CHECK(connects() == before_function + 1);
        co_await store.close();
    });
}

TEST_CASE("a standby that is behind does not tell what became of a write", "[promotion][settlement]") {
    embedded_server primary(quick());
    primary.create_database("agents");
    const standby_directory directory(primary);
    auto standby = make_standby(primary, directory.path());
    fault_proxy proxy(socket_of(primary));

    asio::io_context context;
    pgstate::config config;
    config.connection_string =
        "host=127.0.0.1," + standby.socket_directory().string() + " port=" + std::to_string(proxy.port()) +
        "," + std::to_string(standby.port()) + " user=postgres dbname=agents pool_max_conns=1";
    config.operation_timeout = patience;
    auto store = run(context, [&]() -> asio::awaitable<pgstate::postgres_store> {
        auto opened = co_await pgstate::postgres_store::open(context.get_executor(), config);
        co_await opened.save(agent_state("a", "s"));
        co_return opened;
    });
    wait_until_true(standby, "SELECT to_regclass('agent_states') IS NOT NULL", "agents");
    wait_until_true(standby, "SELECT count(*) = 1 FROM agent_states", "agents");
    execute(standby, "SELECT pg_wal_replay_pause()");
    wait_until_true(standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'");

    // It is applied, and its answer gets lost. Then only the standby can be reached.
    proxy.set(fault_proxy::direction::to_client, {.bytes = fault_proxy::flow::swallow});
    pending_outcome<pgstate::saved> appended;
    store.append("a", "s", {{"user", "once"}}, appended.handler());
    const std::string applied = "SELECT jsonb_array_length(state -> 'history') = 1 FROM agent_states";
    for (const auto deadline = promotion_clock::now() + patience; !is_true(primary, applied, "agents");) {
        REQUIRE(promotion_clock::now() < deadline);
        context.restart();
        context.run_for(2ms);
    }
    proxy.accept(fault_proxy::arrivals::refuse);
    proxy.reset_all();
    run_until(context, [&] { return store.stats().retries >= 3; });
    CHECK(appended.calls == 0);

    proxy.calm();
    run_until(context, [&] { return appended.calls == 1; });
    if (appended.value->has_error()) FAIL_CHECK(appended.value->error().what());
    CHECK(is_true(primary, applied, "agents"));
    run(context, [&]() -> asio::awaitable<void> { co_await store.close(); });
}
