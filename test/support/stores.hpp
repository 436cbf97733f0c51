#ifndef PGSTATE_TEST_STORES_HPP
#define PGSTATE_TEST_STORES_HPP

#include "pgstate/state_store.hpp"
#include "support/run.hpp"

#include <boost/asio/io_context.hpp>

#include <catch2/generators/catch_generators_range.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <iosfwd>
#include <memory>
#include <utility>

namespace pgstate_test {

/// The kinds of store that the contract's cases get, for GENERATE(from_range(every_kind)): what holds for one holds for
/// all. Not a template's parameter: the cases would be compiled once for each.
enum class store_kind {
    memory,
    postgres,         ///< a table of its own in a database that all cases of the process share
    sharded_postgres, ///< the same with several engines, which share few connections
};
inline constexpr std::array every_kind{store_kind::memory, store_kind::postgres,
                                       store_kind::sharded_postgres};
std::ostream& operator<<(std::ostream& to, store_kind kind);

/// A store, and the clock that its states expire by.
struct store_with_clock {
    std::unique_ptr<pgstate::state_store> store;
    /// Lets this much time pass for every state that is in the store.
    std::function<void(std::chrono::milliseconds)> let_pass;
};

/// An empty one on `context`.
store_with_clock open_store(store_kind kind, asio::io_context& context,
                            std::chrono::milliseconds default_ttl = std::chrono::milliseconds(0));

/// A store of one kind and the context it runs on, which runs where a case says so.
class store_under_test {
public:
    explicit store_under_test(store_kind kind,
                              std::chrono::milliseconds default_ttl = std::chrono::milliseconds(0))
        : opened_(open_store(kind, context_, default_ttl)), store_(*opened_.store) {}
    store_under_test(const store_under_test&) = delete;
    store_under_test& operator=(const store_under_test&) = delete;
    ~store_under_test() {
        try {
            pgstate_test::run(context_, [this]() -> asio::awaitable<void> { co_await store_.close(); });
        } catch (...) {
            // Cases about closing say what must hold; here it is only tidied up.
        }
    }

    asio::io_context& context() noexcept { return context_; }
    pgstate::state_store& operator*() noexcept { return store_; }
    pgstate::state_store* operator->() noexcept { return &store_; }

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

private:
    asio::io_context context_;
    store_with_clock opened_;
    pgstate::state_store& store_;
};

} // namespace pgstate_test

#endif
