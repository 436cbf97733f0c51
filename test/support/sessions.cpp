#include "support/sessions.hpp"

#include <catch2/catch_test_macros.hpp>

#include <exception>
#include <utility>

namespace pgstate_test {
namespace {

std::string session_name(int number) {
    return "session-" + std::to_string(number);
}

} // namespace

std::map<std::string, pgstate::saved> save_sessions(store_under_test& store, const std::string& agent,
                                                    int count) {
    std::map<std::string, pgstate::saved> saves;
    for (int i = 0; i < count; ++i) {
        const pgstate::agent_state state(agent, session_name(i));
        store->save(state,
                    [&saves, session = state.session_id](std::exception_ptr failure, pgstate::saved done) {
                        CHECK_FALSE(failure);
                        saves[session] = done;
                    });
    }
    store.run_until([&] { return static_cast<int>(saves.size()) == count; });
    return saves;
}

boost::asio::awaitable<void> comings_and_goings::after_page(pgstate::state_store& store, std::string agent,
                                                            std::string last) {
    const auto other = session_name(page_ * 90);
    co_await store.erase(agent, last);
    co_await store.erase(agent, other);
    erased_.insert(last);
    erased_.insert(other);
    const pgstate::agent_state fresh(agent, "fresh-" + std::to_string(page_++));
    co_await store.save(fresh);
}

void comings_and_goings::check(int count) const {
    for (int i = 0; i < count; ++i) {
        const auto session = session_name(i);
        CHECK(seen_.count(session) <= 1);
        if (!erased_.contains(session)) CHECK(seen_.count(session) == 1);
    }
}

} // namespace pgstate_test
