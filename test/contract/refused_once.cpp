#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/stores.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_range.hpp>

using namespace pgstate_test;
using Catch::Generators::from_range;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

TEST_CASE("an operation that was refused is told once, also when it is cancelled then",
          "[contract][cancellation]") {
    store_under_test store(GENERATE(from_range(every_kind)));
    store.wait(store->close());
    for (const auto how : {asio::cancellation_type::terminal, asio::cancellation_type::partial,
                           asio::cancellation_type::total}) {
        asio::cancellation_signal stop;
        int calls = 0;
        const auto count = [&](auto result) {
            ++calls;
            CHECK((result.has_error() && result.error() == errc::closed));
        };
        const auto bound = [&] { return as_result(asio::bind_cancellation_slot(stop.slot(), count)); };
        store->save(agent_state("a", "s"), bound());
        stop.emit(how);
        store.run_until([&] { return calls == 1; });
        store->load("a", "s", bound());
        stop.emit(how);
        stop.emit(how);
        store.run_until([&] { return calls == 2; });
        store->erase("a", "s", bound());
        store.run_until([&] { return calls == 3; });
        stop.emit(how);
        store.context().restart();
        store.context().poll();
        CHECK(calls == 3);
    }
}
