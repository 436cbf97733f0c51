#ifndef PGSTATE_TEST_FAULT_PENDING_OUTCOME_HPP
#define PGSTATE_TEST_FAULT_PENDING_OUTCOME_HPP

#include "pgstate/result.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace pgstate_test {

/// Where an operation that was started with a callback leaves its outcome.
template <class T>
struct pending_outcome {
    int calls = 0;
    std::chrono::steady_clock::time_point at{};
    std::optional<pgstate::result<T>> value;

    auto handler(boost::asio::cancellation_slot slot = {}) {
        return pgstate::as_result(boost::asio::bind_cancellation_slot(slot, [this](pgstate::result<T> r) {
            ++calls;
            at = std::chrono::steady_clock::now();
            value.emplace(std::move(r));
        }));
    }
    bool over() const noexcept { return calls > 0; }
};

template <class T>
using pending_outcomes = std::vector<std::unique_ptr<pending_outcome<T>>>;

template <class T>
pending_outcome<T>& one_more(pending_outcomes<T>& to) {
    return *to.emplace_back(std::make_unique<pending_outcome<T>>());
}

template <class T>
bool all_over(const pending_outcomes<T>& all) {
    return std::ranges::all_of(all, [](const auto& each) { return each->over(); });
}

} // namespace pgstate_test

#endif
