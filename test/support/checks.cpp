#include "support/checks.hpp"

#include <catch2/catch_test_macros.hpp>

namespace pgstate_test {

using boost::asio::awaitable;

awaitable<void> check_exists(pgstate::state_store& store, std::string agent, std::string session) {
    const auto found = co_await store.load(agent, session);
    INFO("agent " << agent << ", session " << session);
    CHECK(found.has_value());
}

awaitable<void> check_missing(pgstate::state_store& store, std::string agent, std::string session) {
    const auto found = co_await store.load(agent, session);
    INFO("agent " << agent << ", session " << session);
    CHECK_FALSE(found.has_value());
}

awaitable<void> check_erase(pgstate::state_store& store, std::string agent, std::string session,
                            bool expected) {
    const bool erased = co_await store.erase(agent, session);
    INFO("agent " << agent << ", session " << session);
    CHECK(erased == expected);
}

awaitable<void> check_count(pgstate::state_store& store, std::int64_t expected,
                            std::optional<std::string> agent) {
    std::int64_t total = 0;
    if (agent)
        total = co_await store.count(*agent);
    else
        total = co_await store.count();
    INFO("agent " << agent.value_or("(all)"));
    CHECK(total == expected);
}

} // namespace pgstate_test
