// Writes that were given up while the server was still at work on them: they do not come late.

#include "fault/pending_outcome.hpp"
#include "fault/proxy.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include <chrono>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::errc;

namespace {

/// A store whose connections go through a proxy. In its table a save waits before it changes anything, and an erase does
/// not: if it were sent, it would be done at once.
struct stalled_saves {
    explicit stalled_saves(pgstate::config base = {}) : settings(std::move(base)) {
        settings.connection_string = through(proxy, database);
        settings.pool.max_conns = 3;
        run(context, [this]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        });
        execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END $$;"
            "CREATE TRIGGER wait BEFORE INSERT OR UPDATE ON agent_states FOR EACH ROW EXECUTE FUNCTION wait()");
    }
    stalled_saves(const stalled_saves&) = delete;
    stalled_saves& operator=(const stalled_saves&) = delete;
    ~stalled_saves() {
        try {
            run(context, [this]() -> asio::awaitable<void> { co_await store.close(); });
        } catch (...) {
            // The cases say what must hold; here it is only tidied up.
        }
    }

    static pgstate::agent_state state(int value) {
        pgstate::agent_state made("a", "s");
        made.data["value"] = value;
        return made;
    }

    void stall() {
        lock.emplace(holder);
        lock->exec("SELECT pg_advisory_xact_lock(7)");
    }

    void execute(const std::string& sql) { pqxx::nontransaction(direct).exec(sql); }
    template <class T>
    T answer(const std::string& sql) {
        return pqxx::nontransaction(direct).exec(sql)[0][0].as<T>();
    }
    bool says(const std::string& sql) { return answer<bool>(sql); }
    std::int64_t number(const std::string& sql) { return answer<std::int64_t>(sql); }

    /// Lets the store work until the server says so.
    void run_until_server_says(const std::string& sql) {
        run(context, [&]() -> asio::awaitable<void> {
            const auto deadline = std::chrono::steady_clock::now() + patience;
            asio::steady_timer timer(context);
            while (!says(sql)) {
                if (std::chrono::steady_clock::now() > deadline)
                    throw std::runtime_error("never came true: " + sql);
                timer.expires_after(5ms);
                co_await timer.async_wait(asio::use_awaitable);
            }
        });
    }

    static constexpr auto a_save_waits =
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname ="
        " current_database() AND query LIKE 'INSERT%'";
    /// Nothing that is under way can change the table any more.
    static constexpr auto all_is_over =
        "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
        " AND pid <> pg_backend_pid()";
    static constexpr auto nothing_is_there = "SELECT count(*) = 0 FROM agent_states";

    std::string database = fresh_database_name();
    fault_proxy proxy{socket_of(server())};
    pgstate::config settings;
    asio::io_context context;
    pgstate::postgres_store store;
    pqxx::connection direct{server().connection_string(database)};
    pqxx::connection holder{server().connection_string(database)};
    std::optional<pqxx::work> lock;
};

enum class giving_up { timed_out, cancelled };
enum class losing { reset, closed, by_the_store };

} // namespace

TEST_CASE("a save that was given up does not bring back what the same store has erased since",
          "[settlement][late]") {
    const auto how = GENERATE(giving_up::timed_out, giving_up::cancelled);
    const auto lost = GENERATE(losing::reset, losing::closed, losing::by_the_store);
    const bool there_before = GENERATE(true, false);
    if (how == giving_up::cancelled && lost == losing::by_the_store) return; // it gives up what is timed out
    CAPTURE(how, lost, there_before);
    stalled_saves on;
    if (there_before)
        run(on.context, [&]() -> asio::awaitable<void> {
            const auto first = on.state(0);
            co_await on.store.save(first);
        });
    on.stall();

    pending_outcome<pgstate::saved> saved;
    pending_outcome<bool> erased;
    asio::cancellation_signal stop;
    pgstate::save_options options;
    if (how == giving_up::timed_out) options.timeout = 300ms;
    on.store.save(on.state(1), options, saved.handler(stop.slot()));
    on.run_until_server_says(on.a_save_waits);
    // Of the lost connection the server learns nothing while it waits.
    if (how == giving_up::cancelled) stop.emit(asio::cancellation_type::terminal);
    if (lost != losing::by_the_store)
        on.proxy.reset_all(lost == losing::reset ? fault_proxy::ending::rst : fault_proxy::ending::fin);
    run_until(on.context, [&] { return saved.over(); });
    REQUIRE(saved.value->has_error());
    on.store.erase("a", "s", erased.handler());
    run_until(on.context, [&] { return erased.over(); });
    INFO((erased.value->has_error() ? erased.value->error().what() : "erased"));
    REQUIRE(erased.value->has_value());
    CHECK(erased.value->value() == there_before);
    CHECK_FALSE(on.says(on.a_save_waits));
    CHECK(on.says(on.nothing_is_there));

    // Now whatever still waited would go on.
    on.lock.reset();
    on.run_until_server_says(on.all_is_over);
    CHECK(on.says(on.nothing_is_there));
    CHECK(saved.calls == 1);
}

TEST_CASE("what is queued behind a save that was given up keeps its order", "[settlement][late]") {
    stalled_saves on;
    on.stall();
    pending_outcome<pgstate::saved> first;
    pending_outcome<pgstate::saved> second;
    pending_outcome<std::optional<pgstate::agent_state>> between;
    pgstate::save_options options;
    options.timeout = 300ms;
    on.store.save(on.state(1), options, first.handler());
    on.store.load("a", "s", between.handler());
    on.store.save(on.state(2), second.handler());
    on.run_until_server_says(on.a_save_waits);
    on.proxy.reset_all();
    run_until(on.context, [&] { return first.over() && between.over(); });
    // Its server process may have ended before its time ran out.
    CHECK((first.value->error() == errc::timed_out || first.value->error() == errc::outcome_unknown));
    REQUIRE(between.value->has_value());
    CHECK_FALSE(between.value->value().has_value());
    CHECK_FALSE(second.over());
    on.lock.reset();
    run_until(on.context, [&] { return second.over(); });
    REQUIRE(second.value->has_value());
    on.run_until_server_says(on.all_is_over);
    run(on.context, [&]() -> asio::awaitable<void> {
        const auto loaded = co_await on.store.load("a", "s");
        REQUIRE(loaded.has_value());
        CHECK(loaded->data.at("value").as_int64() == 2);
        CHECK(loaded->version == second.value->value().version);
    });
}

TEST_CASE("a store closes although nobody can be asked about a save that was given up",
          "[settlement][late]") {
    stalled_saves on;
    on.stall();
    pending_outcome<pgstate::saved> saved;
    pgstate::save_options options;
    options.timeout = 300ms;
    on.store.save(on.state(1), options, saved.handler());
    on.run_until_server_says(on.a_save_waits);
    on.proxy.accept(fault_proxy::arrivals::refuse);
    on.proxy.reset_all();
    run_until(on.context, [&] { return saved.over(); });
    CHECK(saved.value->has_error());
    const auto begun = std::chrono::steady_clock::now();
    run(on.context, [&]() -> asio::awaitable<void> { co_await on.store.close(); });
    CHECK(std::chrono::steady_clock::now() - begun < 5s);
    CHECK(saved.calls == 1);
}

TEST_CASE("a row that makes no sense does not end the wait for the process that had the save",
          "[settlement][late]") {
    stalled_saves on;
    // Two rows with one key: a table that inherits has no key of its own.
    on.execute("CREATE TABLE more () INHERITS (agent_states); INSERT INTO more (agent_id, session_id, state,"
               " version) VALUES ('a', 's', '{}', 1), ('a', 's', '{}', 2)");
    on.stall();
    pending_outcome<pgstate::saved> saved;
    pending_outcome<bool> erased;
    on.store.save(on.state(1), saved.handler());
    on.run_until_server_says(on.a_save_waits);
    on.proxy.reset_all();
    run_until(on.context, [&] { return saved.over(); });
    REQUIRE(saved.value->has_error());
    CHECK(saved.value->error() == errc::outcome_unknown);
    on.store.erase("a", "s", erased.handler());
    run_until(on.context, [&] { return erased.over(); });
    CHECK_FALSE(on.says(on.a_save_waits));
    on.lock.reset();
    on.run_until_server_says(on.all_is_over);
    CHECK(on.says("SELECT count(*) = 0 FROM ONLY agent_states"));
}

namespace {

enum class following { foreign, transaction, both, another_store };

/// Writes over the state, not through the proxy.
void follow(stalled_saves& on, following who) {
    const auto foreign = [&] { on.execute("UPDATE agent_states SET state = '{}'"); };
    if (who == following::foreign || who == following::both) foreign();
    auto settings = on.settings;
    settings.connection_string = server().connection_string(on.database);
    run(on.context, [&]() -> asio::awaitable<void> {
        auto direct = co_await pgstate::postgres_store::open(on.context.get_executor(), settings);
        const auto twice = [&](pgstate::transaction& t) {
            auto state = on.state(2);
            t.save(state).apply_to(state);
            t.save(state, {.if_unchanged = true});
        };
        if (who == following::transaction || who == following::both) co_await direct.transaction(twice);
        if (who == following::another_store) co_await direct.append("a", "s", {{"user", "hi"}});
        co_await direct.close();
    });
    if (who == following::foreign || who == following::both) foreign();
}

} // namespace

TEST_CASE("a save is told its own version, not that of writers without a name who followed it",
          "[settlement][guard]") {
    const auto who =
        GENERATE(following::foreign, following::transaction, following::both, following::another_store);
    CAPTURE(who);
    pgstate::config guarded;
    guarded.schema.guard = true;
    stalled_saves on(guarded);
    run(on.context, [&]() -> asio::awaitable<void> {
        const auto first = on.state(0);
        co_await on.store.save(first);
    });
    pending_outcome<pgstate::saved> saved;
    on.proxy.set(fault_proxy::direction::to_client, {.bytes = fault_proxy::flow::stall});
    on.store.save(on.state(1), saved.handler());
    on.run_until_server_says("SELECT state @> '{\"data\": {\"value\": 1}}' FROM agent_states");
    const auto version = on.number("SELECT version FROM agent_states");
    follow(on, who);
    CHECK(on.number("SELECT version FROM agent_states") > version);
    on.proxy.reset_all();
    on.proxy.calm();
    run_until(on.context, [&] { return saved.over(); });
    if (who == following::another_store) {
        REQUIRE(saved.value->has_error());
        CHECK(saved.value->error() == errc::outcome_unknown);
    } else {
        REQUIRE(saved.value->has_value());
        CHECK(saved.value->value().version == version);
    }
}
