#ifndef PGSTATE_TEST_STORES_HPP
#define PGSTATE_TEST_STORES_HPP

#include "pgstate/state_store.hpp"
#include "support/run.hpp"

#include <boost/asio/io_context.hpp>

#include <memory>
#include <tuple>

namespace pgstate_test {

/// Each kind of store as the contract's cases get it: empty, on `context`.
struct memory_kind {
    static std::unique_ptr<pgstate::state_store> open(asio::io_context& context);
};
struct postgres_kind {
    /// A table of its own in a database that all cases of the process share.
    static std::unique_ptr<pgstate::state_store> open(asio::io_context& context);
};

/// The same with several engines, which share few connections.
struct sharded_postgres_kind {
    static std::unique_ptr<pgstate::state_store> open(asio::io_context& context);
};

/// For TEMPLATE_LIST_TEST_CASE: what holds for one store holds for all.
using every_kind = std::tuple<memory_kind, postgres_kind, sharded_postgres_kind>;

/// A store of one kind and the context it runs on, which runs where a case says so.
template <class Kind>
class store_under_test {
public:
    store_under_test() : store_(Kind::open(context_)) {}
    store_under_test(const store_under_test&) = delete;
    store_under_test& operator=(const store_under_test&) = delete;
    ~store_under_test() {
        try {
            run([this]() -> asio::awaitable<void> { co_await store_->close(); });
        } catch (...) {
            // Cases about closing say what must hold; here it is only tidied up.
        }
    }

    asio::io_context& context() noexcept { return context_; }
    pgstate::state_store& operator*() noexcept { return *store_; }
    pgstate::state_store* operator->() noexcept { return store_.get(); }

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
    std::unique_ptr<pgstate::state_store> store_;
};

} // namespace pgstate_test

#endif
