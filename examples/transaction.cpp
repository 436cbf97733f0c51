// A transaction: the user's own table and the agent's state change together, or neither does.
#include "support/run_example.hpp"
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <pqxx/pqxx>

#include <cstdint>
#include <iostream>
#include <stdexcept>
#include <string>

namespace asio = boost::asio;

namespace {

// Your own SQL runs on a worker thread of the store's pool, where it may block.
asio::awaitable<void> make_accounts(pgstate::connection_pool& pool) {
    co_await pool.with_connection([](pqxx::connection& connection) {
        pqxx::work sql(connection);
        sql.exec("CREATE TABLE IF NOT EXISTS pgstate_example_accounts "
                 "(name TEXT PRIMARY KEY, credit INT NOT NULL CHECK (credit >= 0))");
        sql.exec(
            "INSERT INTO pgstate_example_accounts VALUES ('john', 1) ON CONFLICT (name) DO UPDATE SET credit = 1");
        sql.commit();
    });
}

asio::awaitable<int> credit(pgstate::connection_pool& pool) {
    // [with_connection]
    auto credit = co_await pool.with_connection([](pqxx::connection& connection) {
        pqxx::work sql(connection);
        return sql.query_value<int>("SELECT credit FROM pgstate_example_accounts WHERE name = 'john'");
    });
    // [with_connection]
    co_return credit;
}

asio::awaitable<std::int64_t> charge_and_save(pgstate::postgres_store& store, pgstate::agent_state state) {
    // [transaction]
    auto charge = [state](pgstate::transaction& tx) {
        // A pqxx::transaction_base, for whatever is to be committed together with the state.
        tx.sql().exec("UPDATE pgstate_example_accounts SET credit = credit - 1 WHERE name = 'john'");
        return tx.save(state).version;
    };
    auto version = co_await store.transaction(charge);
    // [transaction]
    co_return version;
}

asio::awaitable<void> run(pgstate::config config) {
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    co_await make_accounts(store.pool());

    pgstate::agent_state state("billing", "john");
    state.data["paid"] = 1;
    const auto first = co_await charge_and_save(store, state);
    std::cout << "charged, and saved as version " << first << '\n';

    // The second charge breaks the table's CHECK: what the server refuses keeps its SQLSTATE, and nothing is changed.
    state.data["paid"] = 2;
    try {
        co_await charge_and_save(store, state);
        expect(false, "there is no credit left");
    } catch (const pgstate::error& e) {
        expect(e == pgstate::sqlstate::check_violation, "a check violation");
        std::cout << "refused with SQLSTATE " << e.sqlstate() << '\n';
    }

    // So does whatever the function itself throws: everything is rolled back.
    auto change_of_mind = [state](pgstate::transaction& tx) {
        tx.save(state);
        throw std::runtime_error("the user has left");
    };
    const auto outcome = co_await store.transaction(change_of_mind, pgstate::as_result);
    expect(!outcome && outcome.error() == pgstate::errc::callback_failed, "callback_failed");

    const auto loaded = co_await store.load("billing", "john");
    const auto left = co_await credit(store.pool());
    expect(loaded && loaded->version == first && left == 0, "one charge and one save");
    std::cout << "one charge, one save, credit left: " << left << '\n';

    co_await store.close();
}

} // namespace

int main(int argc, char** argv) {
    return run_example(argc, argv, run);
}
