#ifndef PGSTATE_TEST_STORES_HPP
#define PGSTATE_TEST_STORES_HPP

#include "pgstate/config.hpp"
#include "pgstate/state_store.hpp"
#include "support/run.hpp"

#include <boost/asio/io_context.hpp>

#include <catch2/catch_message.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate_test {

/// The kinds of store that the contract's cases get, for GENERATE(from_range(every_kind)): what holds for one holds for
/// all. Not a template's parameter: the cases would be compiled once for each.
enum class store_kind {
    memory,
    postgres,         ///< a table of its own in a database that all cases of the process share
    sharded_postgres, ///< the same with several engines, which share few connections
    rows_postgres,    ///< as `postgres`, with histories in rows
};
inline constexpr std::array every_kind{store_kind::memory, store_kind::postgres, store_kind::sharded_postgres,
                                       store_kind::rows_postgres};
std::ostream& operator<<(std::ostream& to, store_kind kind);

/// A store, and the clock that its states expire by.
struct store_with_clock {
    std::unique_ptr<pgstate::state_store> store;
    /// Lets this much time pass for every state that is in the store.
    std::function<void(std::chrono::milliseconds)> let_pass;
};

/// An empty one on `context`.
store_with_clock open_store(store_kind kind, asio::io_context& context,
                            std::chrono::milliseconds default_ttl = std::chrono::milliseconds(0),
                            pgstate::history_config history = {});

/// Each of `every_kind` in turn: the test case runs again for the next one.
store_kind any_kind();

/// A store and the context it runs on, which runs where a case says so. A failed check says the store's kind.
class store_under_test {
public:
    explicit store_under_test(store_kind kind = any_kind(),
                              std::chrono::milliseconds default_ttl = std::chrono::milliseconds(0),
                              pgstate::history_config history = {});
    store_under_test(const store_under_test&) = delete;
    store_under_test& operator=(const store_under_test&) = delete;
    ~store_under_test();

    store_kind kind() const noexcept { return kind_; }
    asio::io_context& context() noexcept { return context_; }
    pgstate::state_store& operator*() noexcept { return *opened_.store; }
    pgstate::state_store* operator->() noexcept { return opened_.store.get(); }

    /// As if this much time had gone by. No operation may be under way.
    void let_pass(std::chrono::milliseconds time) { opened_.let_pass(time); }

    template <class Function>
    auto run(Function function) {
        return pgstate_test::run(context_, std::move(function));
    }
    template <class Predicate>
    void run_until(Predicate done) {
        pgstate_test::run_until(context_, std::move(done));
    }

    /// Runs an operation to its end, as `store.wait(store->save(state))`; gives its value, or throws its failure.
    template <class Operation>
    auto wait(Operation operation) {
        return pgstate_test::wait(context_, std::move(operation));
    }
    /// Requires that an operation started with `as_result` fails with `code`, as the operation `name` where it is given;
    /// gives the error.
    template <class Operation>
    pgstate::error failure(Operation operation, pgstate::errc code, const std::string& name = {}) {
        auto error = require_failure(wait(std::move(operation)), code);
        if (!name.empty()) CHECK(error.operation() == name);
        CHECK(names(error, name));
        return error;
    }
    /// Requires that it is refused as an invalid argument, in words that name `argument`.
    template <class Operation>
    pgstate::error refuses(Operation operation, const std::string& name, const std::string& argument = {}) {
        auto error = failure(std::move(operation), pgstate::errc::invalid_argument, name);
        CHECK(names(error, argument));
        return error;
    }

    /// The state, which must be there.
    pgstate::agent_state loaded(std::string_view agent_id, std::string_view session_id);
    bool has(std::string_view agent_id, std::string_view session_id);

private:
    store_kind kind_;
    Catch::ScopedMessage said_;
    asio::io_context context_;
    store_with_clock opened_;
};

} // namespace pgstate_test

#endif
