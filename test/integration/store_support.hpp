#ifndef PGSTATE_TEST_STORE_SUPPORT_HPP
#define PGSTATE_TEST_STORE_SUPPORT_HPP

#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate_test {

inline pgstate::config config_for(std::string connection_string) {
    pgstate::config settings;
    settings.connection_string = std::move(connection_string);
    return settings;
}

/// How long a fixture's store waits for a lock before it sends a write in another way.
enum class lock_waits {
    of_the_case,   ///< for as long as a case takes: it finds the statement waiting
    as_configured, ///< `tuning.lock_wait`
};

/// A store on a database of its own, or that of `base.connection_string`; opened and closed with the fixture.
struct opened_store {
    explicit opened_store(const std::string& parameters = {}, pgstate::config base = {},
                          lock_waits waits = lock_waits::of_the_case)
        : database(base.connection_string.empty() ? fresh_database() : base.connection_string),
          settings(std::move(base)) {
        settings.connection_string = database + parameters;
        if (waits == lock_waits::of_the_case) settings.tuning.lock_wait = 2 * patience;
        run(context, [this]() -> asio::awaitable<void> {
            store = co_await pgstate::postgres_store::open(context.get_executor(), settings);
        });
    }
    opened_store(const opened_store&) = delete;
    opened_store& operator=(const opened_store&) = delete;
    ~opened_store() {
        if (destroyed_) return;
        try {
            run(context, [this]() -> asio::awaitable<void> { co_await store.close(); });
        } catch (...) {
            // Cases about closing say what must hold; here it is only tidied up.
        }
    }

    std::string database;
    pgstate::config settings;
    asio::io_context context;
    pgstate::postgres_store store;

    /// Ends the store, which must not be used after that.
    void destroy() {
        store = pgstate::postgres_store();
        destroyed_ = true;
    }

private:
    bool destroyed_ = false;
};

/// Another client that holds a row's lock until it is let go: whoever writes the row waits in the server.
class row_lock {
public:
    row_lock(const std::string& database, std::string_view agent, std::string_view session)
        : connection_(database), transaction_(std::in_place, connection_) {
        transaction_->exec("SELECT 1 FROM agent_states WHERE agent_id = " + transaction_->quote(agent) +
                           " AND session_id = " + transaction_->quote(session) + " FOR UPDATE");
    }
    void let_go() { transaction_.reset(); }

private:
    pqxx::connection connection_;
    std::optional<pqxx::work> transaction_;
};

/// Waits, letting `context` run, until `sql` on a connection of its own says true.
inline asio::awaitable<void> until(asio::io_context& context, pqxx::connection& observer, std::string sql) {
    const auto deadline = std::chrono::steady_clock::now() + patience;
    asio::steady_timer timer(context);
    for (;;) {
        const bool there = pqxx::nontransaction(observer).exec(sql)[0][0].as<bool>();
        if (there) co_return;
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("never came true: " + sql);
        timer.expires_after(std::chrono::milliseconds(5));
        co_await timer.async_wait(asio::use_awaitable);
    }
}

/// A state of agent "a" that holds a number.
inline pgstate::agent_state numbered_state(int value, const std::string& session = "s") {
    pgstate::agent_state state("a", session);
    state.data["value"] = value;
    return state;
}

/// Where an operation started with a callback leaves its outcome.
template <class T>
struct outcome {
    int calls = 0;
    std::optional<pgstate::result<T>> value;

    auto handler() {
        return [this](pgstate::result<T> r) {
            ++calls;
            value.emplace(std::move(r));
        };
    }
    bool over() const { return calls == 1; }
};

/// Ends the server's processes that wait for a lock in this database.
inline constexpr auto end_those_who_wait_for_a_lock =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
    "current_database()";

/// True while somebody waits for a lock in this database.
inline constexpr auto somebody_waits_for_a_lock =
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

} // namespace pgstate_test

#endif
