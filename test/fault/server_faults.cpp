// What a store makes of a server that ends its backends, crashes, restarts, stands still or is full.

#include "fault/pending_outcome.hpp"
#include "fault/processes.hpp"
#include "fault/proxy.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

using fault_clock = std::chrono::steady_clock;

constexpr std::size_t faulty_connections = 12;

/// The server of these cases, which leave it running: nobody else's is stopped and killed.
pgstate::embedded_server& faulty_server() {
    static pgstate::embedded_server server = [] {
        pgstate::embedded_server_options options;
        options.settings["fsync"] = "off";
        options.settings["max_connections"] = std::to_string(faulty_connections);
        options.settings["superuser_reserved_connections"] = "0";
        return pgstate::embedded_server(options);
    }();
    server.start();
    return server;
}

std::string faulty_database() {
    static int count = 0;
    const auto name = "faulty_" + std::to_string(++count);
    faulty_server().create_database(name);
    return name;
}

agent_state valued(const std::string& session, int value) {
    agent_state state("a", session);
    state.data["value"] = value;
    return state;
}

struct faulty_store {
    explicit faulty_store(pgstate::config base = {}, std::string through_proxy = {})
        : database(faulty_database()), settings(std::move(base)) {
        settings.connection_string =
            through_proxy.empty() ? faulty_server().connection_string(database) : std::move(through_proxy);
        if (settings.pool.max_conns == 0) settings.pool.max_conns = 4;
        open();
    }
    faulty_store(const faulty_store&) = delete;
    faulty_store& operator=(const faulty_store&) = delete;
    ~faulty_store() {
        if (destroyed_) return;
        try {
            close();
        } catch (...) {
            // Cases about closing say what must hold; here it is only tidied up.
        }
    }

    void open() {
        run(context, [this]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        });
    }
    void close() {
        run(context, [this]() -> asio::awaitable<void> { co_await store.close(); });
    }
    /// Ends the store, which must not be used after that.
    void destroy() {
        store = pgstate::postgres_store();
        destroyed_ = true;
    }
    std::string direct() const { return faulty_server().connection_string(database); }
    pqxx::result execute(const std::string& sql) const {
        pqxx::connection other(direct());
        return pqxx::nontransaction(other).exec(sql);
    }

    std::string database;
    pgstate::config settings;
    asio::io_context context;
    pgstate::postgres_store store;

private:
    bool destroyed_ = false;
};

/// Makes every statement on the table wait, until it is let go.
class table_lock {
public:
    explicit table_lock(const std::string& database)
        : connection_(database), transaction_(std::in_place, connection_) {
        transaction_->exec("LOCK TABLE agent_states IN ACCESS EXCLUSIVE MODE");
    }
    void let_go() {
        try {
            transaction_.reset();
        } catch (const pqxx::failure&) {
            // The connection went with the server.
        }
    }

private:
    pqxx::connection connection_;
    std::optional<pqxx::work> transaction_;
};

/// Runs the context until `done()`, which may come true without anything to run.
template <class Predicate>
void look_until(asio::io_context& context, Predicate done) {
    const auto deadline = fault_clock::now() + patience;
    while (!done()) {
        if (fault_clock::now() > deadline) throw std::runtime_error("it never came true");
        context.restart();
        context.run_for(2ms);
    }
}

/// Runs the context until so many sessions wait for a lock.
void run_until_waiting(asio::io_context& context, const std::string& database, int sessions) {
    pqxx::connection observer(database);
    const auto sql = "SELECT count(*) >= " + std::to_string(sessions) +
                     " FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    look_until(context, [&] { return pqxx::nontransaction(observer).exec(sql)[0][0].as<bool>(); });
}

/// 64 operations that are under way or queued when the fault comes, and what may be after it.
struct operations_in_a_fault {
    explicit operations_in_a_fault(faulty_store& f) : of(f) {
        run(f.context, [&]() -> asio::awaitable<void> {
            std::vector<agent_state> states;
            for (int i = 0; i < each_kind; ++i)
                for (const auto* kind : {"load", "increment", "save"})
                    states.push_back(valued(kind + std::to_string(i), 0));
            const auto saved = co_await f.store.save_all(states);
            for (const auto& each : saved)
                each.value();
        });
    }

    void start() {
        for (int i = 0; i < each_kind; ++i) {
            const auto number = std::to_string(i);
            of.store.save(valued("save" + number, 1), one_more(saves).handler());
            of.store.increment("a", "increment" + number, "/data/value", 1, one_more(increments).handler());
            of.store.load("a", "load" + number, one_more(loads).handler());
        }
        of.store.save(valued("save_new", 1), one_more(saves).handler());
    }

    /// Runs until all are over, and looks at what they came to.
    void finish_and_check() {
        run_until(of.context, [&] { return all_over(saves) && all_over(increments) && all_over(loads); });
        for (const auto& each : loads) {
            CHECK(each->calls == 1);
            if (each->value->has_error()) FAIL_CHECK(each->value->error().what());
        }
        std::size_t unknown = 0;
        for (int i = 0; i < each_kind; ++i) {
            const auto number = static_cast<std::size_t>(i);
            unknown += check(*saves[number], "save" + std::to_string(i));
            unknown += check(*increments[number], "increment" + std::to_string(i));
        }
        INFO("unknown: " << unknown);
        run(of.context, [&]() -> asio::awaitable<void> {
            const auto state = valued("after", 1);
            const auto after = co_await of.store.save(state, as_result);
            if (after.has_error()) FAIL_CHECK(after.error().what());
        });
    }

    faulty_store& of;
    static constexpr int each_kind = 21;
    pending_outcomes<pgstate::saved> saves;
    pending_outcomes<pgstate::saved> increments;
    pending_outcomes<std::optional<agent_state>> loads;

private:
    /// 1 if its outcome is unknown.
    std::size_t check(const pending_outcome<pgstate::saved>& what, const std::string& session) {
        CAPTURE(session);
        CHECK(what.calls == 1);
        std::optional<agent_state> now;
        run(of.context, [&]() -> asio::awaitable<void> { now = co_await of.store.load("a", session); });
        REQUIRE(now.has_value());
        const auto value = now->data.at("value").to_number<int>();
        CHECK((value == 0 || value == 1));
        if (what.value->has_value()) {
            CHECK(value == 1);
            return 0;
        }
        const auto& failure = what.value->error();
        INFO(failure.what());
        if (failure == errc::outcome_unknown) return 1;
        CHECK(value == 0);
        CHECK((failure == errc::unavailable || failure.sqlstate().starts_with("57P")));
        return 0;
    }
};

} // namespace

TEST_CASE("all backends are terminated while 64 operations are under way", "[server]") {
    faulty_store f;
    operations_in_a_fault all(f);
    table_lock lock(f.direct());
    all.start();
    run_until_waiting(f.context, f.direct(), 4);
    f.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
              "WHERE application_name = 'pgstate' AND datname = current_database()");
    lock.let_go();
    all.finish_and_check();
}

TEST_CASE("a backend is killed while 64 operations are under way, and the server begins anew", "[server]") {
    faulty_store f;
    operations_in_a_fault all(f);
    table_lock lock(f.direct());
    all.start();
    run_until_waiting(f.context, f.direct(), 4);
    const int victim = f.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'pgstate' "
                                 "AND datname = current_database() LIMIT 1")[0][0]
                           .as<int>();
    REQUIRE(::kill(victim, SIGKILL) == 0);
    all.finish_and_check();
    lock.let_go();
}

TEST_CASE("operations wait for a server that restarts", "[server]") {
    using shutdown = pgstate::embedded_server::shutdown;
    const auto how = GENERATE(shutdown::fast, shutdown::immediate);
    CAPTURE(static_cast<int>(how));
    faulty_store f;
    operations_in_a_fault all(f);
    auto& server = faulty_server();
    server.stop(how);
    all.start();
    run_until(f.context, [&] { return f.store.pool().stats().failed_connects_count >= 2; });
    CHECK_FALSE(all_over(all.saves));
    server.start();
    run_until(f.context, [&] { return all_over(all.saves) && all_over(all.increments); });
    // Nothing could be sent, so nothing is unknown.
    for (const auto* ended : {&all.saves, &all.increments})
        for (const auto& each : *ended)
            if (each->value->has_error()) FAIL_CHECK(each->value->error().what());
    all.finish_and_check();
}

TEST_CASE("a server that stands still lets operations run into their time-out, and does not hold up the end",
          "[server]") {
    constexpr auto limit = 1000ms;
    constexpr auto grace = 2s;
    pgstate::config base;
    base.operation_timeout = limit;
    faulty_store f(base);
    operations_in_a_fault all(f);
    const stopped_server still(faulty_server());
    const auto begin = fault_clock::now();
    all.start();
    SECTION("closed after it") {
        run_until(f.context,
                  [&] { return all_over(all.saves) && all_over(all.increments) && all_over(all.loads); });
        CHECK(fault_clock::now() - begin < limit + grace);
        for (const auto& each : all.loads) {
            CHECK(each->at - begin >= limit);
            CHECK(each->value->has_error());
        }
        for (const auto& each : all.saves)
            CHECK(each->value->has_error());
        const auto closing = fault_clock::now();
        f.close();
        CHECK(fault_clock::now() - closing < grace);
    }
    SECTION("closed meanwhile") {
        f.close();
        CHECK(fault_clock::now() - begin < limit + grace);
    }
    SECTION("destroyed meanwhile") {
        f.destroy();
        CHECK(fault_clock::now() - begin < grace);
        run_until(f.context,
                  [&] { return all_over(all.saves) && all_over(all.increments) && all_over(all.loads); });
        CHECK(fault_clock::now() - begin < grace);
        for (const auto& each : all.saves)
            CHECK(each->value->error() == errc::closed);
    }
    for (const auto& each : all.saves)
        CHECK(each->calls == 1);
}

TEST_CASE("connects that vanish in a black hole hold up neither operations beyond their time nor the end",
          "[server]") {
    constexpr auto limit = 1000ms;
    constexpr auto grace = 2s;
    fault_proxy proxy(socket_of(faulty_server()));
    pgstate::config base;
    base.operation_timeout = limit;
    const auto database = faulty_database();
    base.pool.max_conns = 2;
    faulty_store f(base, through(proxy, database));
    proxy.accept(fault_proxy::arrivals::black_hole);
    proxy.reset_all();

    const auto begin = fault_clock::now();
    pending_outcome<pgstate::saved> saved;
    f.store.save(valued("s", 1), saved.handler());
    look_until(f.context, [&] { return proxy.count().open > 0; });
    SECTION("closed after it") {
        run_until(f.context, [&] { return saved.calls == 1; });
        CHECK(saved.at - begin < limit + grace);
        const auto closing = fault_clock::now();
        f.close();
        CHECK(fault_clock::now() - closing < grace);
        INFO(saved.value->error().what());
        CHECK(saved.value->error() == errc::unavailable);
    }
    SECTION("closed meanwhile") {
        f.close();
        CHECK(fault_clock::now() - begin < limit + grace);
        CHECK(saved.calls == 1);
    }
    SECTION("destroyed meanwhile") {
        f.destroy();
        run_until(f.context, [&] { return saved.calls == 1; });
        CHECK(fault_clock::now() - begin < grace);
        INFO(saved.value->error().what());
        CHECK(saved.value->error() == errc::closed);
    }
    SECTION("open") {
        const auto opening = fault_clock::now();
        run(f.context, [&]() -> asio::awaitable<void> {
            const auto opened =
                co_await pgstate::postgres_store::open(f.context.get_executor(), f.settings, as_result);
            CHECK(opened.has_error());
        });
        CHECK(fault_clock::now() - opening < limit + grace);
    }
    SECTION("passed again") {
        // The operation outlives the black hole only if its connect is given up in time.
        proxy.calm();
        run_until(f.context, [&] { return saved.calls == 1; });
        if (saved.value->has_error()) FAIL_CHECK(saved.value->error().what());
    }
}

TEST_CASE("a server without a connection to spare is waited for", "[server]") {
    pgstate::config base;
    base.pool.max_conns = 1;
    faulty_store f(base);
    f.store.pool().reset();
    std::vector<std::unique_ptr<pqxx::connection>> others;
    const auto deadline = fault_clock::now() + patience;
    for (bool full = false; !full && fault_clock::now() < deadline;) {
        try {
            others.push_back(std::make_unique<pqxx::connection>(f.direct()));
        } catch (const pqxx::broken_connection&) {
            // The store's own backend may take a moment to end: full is the server that says so with all places taken.
            full = others.size() >= faulty_connections;
        }
    }
    REQUIRE(others.size() == faulty_connections);

    pending_outcome<pgstate::saved> saved;
    f.store.save(valued("s", 1), saved.handler());
    run_until(f.context, [&] { return f.store.pool().stats().failed_connects_count >= 3; });
    CHECK(saved.calls == 0);
    others.pop_back();
    run_until(f.context, [&] { return saved.calls == 1; });
    if (saved.value->has_error()) FAIL_CHECK(saved.value->error().what());
}

TEST_CASE("operations that were queued behind a lost connection go on without new ones", "[server]") {
    fault_proxy proxy(socket_of(faulty_server()));
    pgstate::config base;
    base.pool.max_conns = 1;
    const auto database = faulty_database();
    faulty_store f(base, through(proxy, database));
    const auto direct = faulty_server().connection_string(database);
    run(f.context, [&]() -> asio::awaitable<void> {
        const auto state = valued("s", 1);
        co_await f.store.save(state);
    });
    table_lock lock(direct);
    pending_outcome<pgstate::saved> sent;
    pending_outcomes<std::optional<agent_state>> queued;
    f.store.save(valued("other", 1), sent.handler());
    for (int i = 0; i < 4; ++i)
        f.store.load("a", "s", one_more(queued).handler());
    run_until_waiting(f.context, direct, 1);
    const auto begin = fault_clock::now();
    proxy.reset_all();
    lock.let_go();
    run_until(f.context, [&] { return sent.calls == 1 && all_over(queued); });
    CHECK(fault_clock::now() - begin < 10s); // the time-out is 30 s
    for (const auto& each : queued)
        if (each->value->has_error()) FAIL_CHECK(each->value->error().what());
}

TEST_CASE("an operation that comes while connecting is paused goes on when the pause is over", "[server]") {
    fault_proxy proxy(socket_of(faulty_server()));
    pgstate::config base;
    base.pool.max_conns = 1;
    const auto database = faulty_database();
    faulty_store f(base, through(proxy, database));
    // A connect that fails when nobody waits for it any more.
    proxy.accept(fault_proxy::arrivals::black_hole);
    proxy.reset_all();
    pending_outcome<std::optional<agent_state>> given_up;
    f.store.load("a", "s", pgstate::load_options{.timeout = 50ms}, given_up.handler());
    look_until(f.context, [&] { return given_up.calls == 1 && proxy.count().open > 0; });
    proxy.calm();
    look_until(f.context, [&] { return f.store.pool().stats().failed_connects_count >= 1; });

    const auto begin = fault_clock::now();
    pending_outcome<std::optional<agent_state>> next;
    f.store.load("a", "s", next.handler());
    run_until(f.context, [&] { return next.calls == 1; });
    if (next.value->has_error()) FAIL_CHECK(next.value->error().what());
    CHECK(fault_clock::now() - begin < 10s); // the time-out is 30 s
}
