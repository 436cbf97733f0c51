#ifndef PGSTATE_TEST_STORE_SUPPORT_HPP
#define PGSTATE_TEST_STORE_SUPPORT_HPP

#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/transaction>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgstate_test {

inline pgstate::config config_for(std::string connection_string) {
    pgstate::config settings;
    settings.connection_string = std::move(connection_string);
    return settings;
}

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

/// Runs `context` until `done()`, which is asked every few milliseconds.
template <class Predicate>
void poll_until(asio::io_context& context, Predicate done) {
    const auto work = asio::make_work_guard(context);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("never came true");
        context.restart();
        context.run_for(std::chrono::milliseconds(5));
    }
}

/// On a connection of its own.
inline void run_on(const std::string& database, const std::string& sql) {
    pqxx::connection connection(database);
    pqxx::nontransaction(connection).exec(sql);
}

/// What opening a store fails with, which must be `code`.
inline pgstate::error open_failure(const pgstate::config& settings,
                                   pgstate::errc code = pgstate::errc::unavailable) {
    asio::io_context context;
    return require_failure(
        wait(context, pgstate::postgres_store::open(context.get_executor(), settings, pgstate::as_result)),
        code);
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

    /// Runs an operation to its end, as `f.wait(f.store.save(state))`; gives its value, or throws its failure.
    template <class Operation>
    auto wait(Operation operation) {
        return pgstate_test::wait(context, std::move(operation));
    }
    /// Requires that an operation started with `as_result` fails with `code`; gives the error.
    template <class Operation>
    pgstate::error failure(Operation operation, pgstate::errc code) {
        return require_failure(wait(std::move(operation)), code);
    }
    /// Lets the store run until `sql`, asked by another client, says true.
    void wait_until(pqxx::connection& observer, const std::string& sql) {
        wait(until(context, observer, sql));
    }
    /// Ends the connections that wait for a lock, as soon as there is one.
    void lose_waiting(pqxx::connection& observer);
    /// What `sql` gives on a connection of the store's pool.
    pqxx::result on_pool(const std::string& sql) {
        return wait(store.pool().with_connection(
            [&sql](pqxx::connection& connection) { return pqxx::nontransaction(connection).exec(sql); }));
    }

    /// Ends the store, which must not be used after that.
    void destroy() {
        store = pgstate::postgres_store();
        destroyed_ = true;
    }

private:
    bool destroyed_ = false;
};

/// Another client with an open transaction, which has done `sql`, until it is let go or commits.
class open_transaction {
public:
    open_transaction(const std::string& database, const std::string& sql)
        : connection_(database), transaction_(std::in_place, connection_) {
        transaction_->exec(sql);
    }
    pqxx::work& operator*() { return *transaction_; }
    void let_go() { transaction_.reset(); }
    void commit() { transaction_->commit(); }

private:
    pqxx::connection connection_;
    std::optional<pqxx::work> transaction_;
};

/// A row's lock, held by another client: whoever writes the row waits in the server.
struct row_lock : open_transaction {
    row_lock(const std::string& database, const std::string& agent, const std::string& session)
        : open_transaction(database, "SELECT 1 FROM agent_states WHERE agent_id = '" + agent +
                                         "' AND session_id = '" + session + "' FOR UPDATE") {}
};

/// The table's lock, held by another client: by default nobody else reads or writes.
struct table_lock : open_transaction {
    explicit table_lock(const std::string& database, const std::string& mode = "ACCESS EXCLUSIVE")
        : open_transaction(database, "LOCK TABLE agent_states IN " + mode + " MODE") {}
};

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
    /// Runs `context` until it is there.
    pgstate::result<T>& wait(asio::io_context& context) {
        run_until(context, [this] { return over(); });
        return *value;
    }
};

template <class T>
bool all_over(const std::vector<outcome<T>>& of) {
    return std::ranges::all_of(of, [](const auto& each) { return each.over(); });
}

/// Ends the server's processes that wait for a lock in this database.
inline constexpr auto end_those_who_wait_for_a_lock =
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
    "current_database()";

/// How many wait for a lock in this database.
inline constexpr auto waiters_for_a_lock =
    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

/// True while somebody waits for a lock in this database.
inline constexpr auto somebody_waits_for_a_lock =
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";

inline void opened_store::lose_waiting(pqxx::connection& observer) {
    wait_until(observer, somebody_waits_for_a_lock);
    pqxx::nontransaction(observer).exec(end_those_who_wait_for_a_lock);
}

} // namespace pgstate_test

#endif
