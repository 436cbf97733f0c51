#ifndef PGSTATE_TEST_ADAPTERS_OBSERVATIONS_HPP
#define PGSTATE_TEST_ADAPTERS_OBSERVATIONS_HPP

#include "pgstate/metrics.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <future>

namespace pgstate_test {

/// Checks that the end of an observation waits for a reading under way. \param collect  makes the back end read
/// \param meanwhile  called while it does
template <class Collect, class Meanwhile>
void check_end_waits_for_reading(pgstate::metrics& metrics, const pgstate::instrument& what, Collect collect,
                                 Meanwhile meanwhile) {
    std::promise<void> reading;
    std::promise<void> go_on;
    std::atomic<bool> read = false;
    auto observed = metrics.observe(what, {}, [&] {
        reading.set_value();
        go_on.get_future().wait();
        read = true;
        return 1.0;
    });
    const auto collected = std::async(std::launch::async, collect);
    reading.get_future().wait();
    meanwhile();
    auto ended = std::async(std::launch::async, [&] {
        observed.reset();
        return read.load();
    });
    CHECK(ended.wait_for(std::chrono::milliseconds(1)) == std::future_status::timeout);
    go_on.set_value();
    CHECK(ended.get());
    collected.wait();
}

} // namespace pgstate_test

#endif
