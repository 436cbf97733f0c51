// What an operation allocates on its way through the store, its caller's own value apart.

#include "codec/codec.hpp"
#include "integration/counted_new.hpp"
#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <string>
#include <utility>

namespace {

using namespace pgstate_test;
using pgstate::agent_state;

constexpr int callers = 64;
constexpr std::size_t of_a_statement = 14; ///< about, however many operations share it

/// Callers that each have one operation under way, and begin the next when it is over.
template <class Start>
class closed_loop {
public:
    closed_loop(opened_store& f, Start start) : f_(f), start_(std::move(start)) {}

    /// Allocations of this thread per operation, once everything that is kept for the next one is there. Those of a
    /// statement are left out: how many operations share one depends on how fast the server is.
    double allocations_per_operation() {
        count(3000);
        constexpr int measured = 10'000;
        own_ = 0;
        const auto sent = f_.store.stats().statements;
        const auto before = allocations();
        count(measured);
        const auto all = allocations() - before - own_;
        const auto of_statements = of_a_statement * (f_.store.stats().statements - sent);
        return static_cast<double>(all - of_statements) / measured;
    }

private:
    void count(int operations) {
        left_ = operations;
        under_way_ = 0;
        for (int i = 0; i < callers; ++i)
            next(i);
        run_until(f_.context, [this] { return under_way_ == 0; });
    }
    void next(int caller) {
        if (left_ == 0) return;
        --left_;
        ++under_way_;
        own_ += start_(caller, [this, caller](std::exception_ptr failure, auto&&...) {
            if (failure) std::rethrow_exception(failure);
            --under_way_;
            next(caller);
        });
    }

    opened_store& f_;
    Start start_; ///< starts a caller's operation; gives what it allocated for itself
    int left_ = 0;
    int under_way_ = 0;
    std::size_t own_ = 0; ///< what the test itself allocated
};

agent_state state_of(int caller) {
    agent_state state("agent", "session-" + std::to_string(caller));
    state.data["step"] = caller;
    state.history.emplace_back("user", std::string(300, 'x'));
    return state;
}

} // namespace

TEST_CASE("what an operation allocates", "[allocations]") {
    opened_store f("&pool_max_conns=2", {}, lock_waits::as_configured);
    for (int i = 0; i < callers; ++i) {
        const auto state = state_of(i);
        f.wait(f.store.save(state));
    }

    // The operation, its handler, and what each adds to its statement.
    SECTION("a save: also the document") {
        const auto state = state_of(1);
        closed_loop saves(f, [&](int caller, auto handler) {
            const auto before = allocations();
            auto mine = state;
            mine.session_id = "session-" + std::to_string(caller);
            const auto own = allocations() - before;
            f.store.save(mine, std::move(handler));
            return own;
        });
        const auto each = saves.allocations_per_operation();
        INFO(each << " allocations for each save");
        CHECK(each <= 2.8);
    }
    SECTION("a load: apart from the state that the caller gets") {
        const auto document = pgstate::codec::encode(state_of(1));
        const auto before = allocations();
        { const auto decoded = pgstate::codec::decode("agent", "session-1", document, 1, {}, {}); }
        const auto of_the_state = static_cast<double>(allocations() - before);
        closed_loop loads(f, [&](int caller, auto handler) {
            f.store.load("agent", "session-" + std::to_string(caller), std::move(handler));
            return std::size_t{0};
        });
        const auto each = loads.allocations_per_operation() - of_the_state;
        INFO(each << " allocations for each load, and " << of_the_state << " for its state");
        CHECK(each <= 2.1);
    }
    SECTION("an erase of a state that is not there: a second statement looks for it") {
        closed_loop erasures(f, [&](int caller, auto handler) {
            f.store.erase("agent", "session-" + std::to_string(caller), std::move(handler));
            return std::size_t{0};
        });
        const auto each = erasures.allocations_per_operation();
        INFO(each << " allocations for each erase");
        CHECK(each <= 2.5);
    }
}
