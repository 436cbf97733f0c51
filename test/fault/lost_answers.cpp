// Writes of histories in rows whose connection is lost after they were sent, applied or not: they are made once, and what is
// remembered of the history is good for the next save.

#include "fault/message_rows.hpp"
#include "fault/pending_outcome.hpp"
#include "fault/proxy.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include <chrono>
#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_message;
using pgstate::agent_state;

namespace {

enum class lost_when { before_it_was_applied, after_it_was_applied };

agent_message lost_message(std::size_t number) {
    return {"user", "message " + std::to_string(number), pgstate::timestamp(1'000'000s)};
}

/// A store behind a proxy, and in its table a state of three messages, in rows.
struct answers_to_lose {
    answers_to_lose() {
        pgstate::config settings;
        settings.connection_string = through(proxy, database);
        settings.schema.history = pgstate::history_layout::rows;
        settings.tuning.lock_wait = 2 * patience;
        for (std::size_t i = 0; i < 3; ++i)
            state.history.push_back(lost_message(i));
        run(context, [&]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
            (co_await store.save(state)).apply_to(state);
        });
        epoch = answer("SELECT epoch FROM agent_states");
    }
    answers_to_lose(const answers_to_lose&) = delete;
    answers_to_lose& operator=(const answers_to_lose&) = delete;
    ~answers_to_lose() {
        try {
            run(context, [this]() -> asio::awaitable<void> { co_await store.close(); });
        } catch (...) {
            // The cases say what must hold; here it is only tidied up.
        }
    }

    std::string answer(const std::string& sql) {
        return pqxx::nontransaction(direct).exec(sql)[0][0].as<std::string>();
    }

    void run_until_server_says(const std::string& sql) {
        run(context, [&]() -> asio::awaitable<void> {
            const auto deadline = std::chrono::steady_clock::now() + patience;
            asio::steady_timer timer(context);
            while (answer(sql) != "t") {
                if (std::chrono::steady_clock::now() > deadline)
                    throw std::runtime_error("never came true: " + sql);
                timer.expires_after(5ms);
                co_await timer.async_wait(asio::use_awaitable);
            }
        });
    }

    /// Starts a write, and loses its connection; gives what the write completes with.
    template <class Start>
    pgstate::saved lose(lost_when when, Start start) {
        pending_outcome<pgstate::saved> done;
        const auto writes = answer("SELECT version FROM agent_states");
        if (when == lost_when::before_it_was_applied) {
            pqxx::work lock(holder);
            lock.exec("SELECT FROM agent_states FOR UPDATE");
            start(done.handler());
            run_until_server_says(
                "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'");
            answer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                   " WHERE datname = current_database() AND wait_event_type = 'Lock'");
            CHECK_FALSE(done.over());
            lock.abort();
        } else {
            proxy.set(fault_proxy::direction::to_client, {.bytes = fault_proxy::flow::stall});
            start(done.handler());
            run_until_server_says("SELECT version > " + writes + " FROM agent_states");
            CHECK_FALSE(done.over());
            proxy.reset_all();
            proxy.calm();
        }
        run_until(context, [&] { return done.over(); });
        REQUIRE(done.value->has_value());
        CHECK(done.calls == 1);
        return done.value->value();
    }

    /// The history is `count` messages, in rows, and nothing is left over.
    void check_history(std::size_t count) {
        std::optional<agent_state> loaded;
        run(context, [&]() -> asio::awaitable<void> { loaded = co_await store.load("a", "s"); });
        REQUIRE(loaded.has_value());
        REQUIRE(loaded->history.size() == count);
        for (std::size_t i = 0; i < count; ++i)
            CHECK(loaded->history[i].content == "message " + std::to_string(i));
        const auto found = look_at_message_rows(server().connection_string(database));
        CHECK(found.wrongs == std::vector<std::string>());
        CHECK(found.rows == count);
    }

    /// A save adds to what is stored, and does not write it anew.
    void check_next_save_adds(agent_state saved, std::size_t stored) {
        const auto before = answer("SELECT epoch FROM agent_states");
        saved.history.push_back(lost_message(stored));
        // A message that is written again would be one of the lower numbers.
        pqxx::nontransaction(direct).exec(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " RAISE EXCEPTION 'written again'; END $$;"
            "CREATE TRIGGER refuse BEFORE INSERT ON agent_states_messages FOR EACH ROW WHEN (NEW.seq < " +
            std::to_string(stored) + ") EXECUTE FUNCTION refuse()");
        run(context, [&]() -> asio::awaitable<void> { co_await store.save(saved); });
        CHECK(answer("SELECT epoch FROM agent_states") == before);
        check_history(stored + 1);
    }

    std::string database = fresh_database_name();
    fault_proxy proxy{socket_of(server())};
    asio::io_context context;
    pgstate::postgres_store store;
    pqxx::connection direct{server().connection_string(database)};
    pqxx::connection holder{server().connection_string(database)};
    agent_state state{"a", "s"};
    std::string epoch;
};

} // namespace

TEST_CASE("an append in rows whose answer is lost is made once", "[rows][settlement]") {
    const auto when = GENERATE(lost_when::before_it_was_applied, lost_when::after_it_was_applied);
    const bool with_id = GENERATE(false, true);
    CAPTURE(when, with_id);
    answers_to_lose on;
    auto message = lost_message(3);
    if (with_id) message.id = "id";
    const auto appended =
        on.lose(when, [&](auto handler) { on.store.append("a", "s", message, std::move(handler)); });
    CHECK(appended.version == std::stoll(on.answer("SELECT version FROM agent_states")));
    CHECK(appended.applied);
    CHECK(on.answer("SELECT epoch FROM agent_states") == on.epoch);
    on.check_history(4);
}

TEST_CASE("a save that adds to a history in rows is made once, and its mark is of use",
          "[rows][settlement]") {
    const auto when = GENERATE(lost_when::before_it_was_applied, lost_when::after_it_was_applied);
    const bool conditional = GENERATE(false, true);
    const bool in_part = GENERATE(false, true);
    CAPTURE(when, conditional, in_part);
    answers_to_lose on;
    auto state = on.state;
    if (in_part)
        run(on.context, [&]() -> asio::awaitable<void> {
            state = (co_await on.store.load("a", "s", {.history = pgstate::history_window::last(1)})).value();
        });
    state.history.push_back(lost_message(3));
    const auto saved = on.lose(
        when, [&](auto handler) { on.store.save(state, {.if_unchanged = conditional}, std::move(handler)); });
    CHECK(on.answer("SELECT epoch FROM agent_states") == on.epoch);
    on.check_history(4);
    saved.apply_to(state);
    CHECK(state.version == std::stoll(on.answer("SELECT version FROM agent_states")));
    on.check_next_save_adds(state, 4);
}

TEST_CASE("a save that writes a history in rows anew is made once, and its mark is of use",
          "[rows][settlement]") {
    const auto when = GENERATE(lost_when::before_it_was_applied, lost_when::after_it_was_applied);
    CAPTURE(when);
    answers_to_lose on;
    auto state = on.state;
    state.mark = {};
    state.version = 0;
    const auto saved = on.lose(when, [&](auto handler) { on.store.save(state, std::move(handler)); });
    CHECK(on.answer("SELECT epoch FROM agent_states") != on.epoch);
    on.check_history(3);
    saved.apply_to(state);
    on.check_next_save_adds(state, 3);
}
