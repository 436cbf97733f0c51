#include "support/sessions.hpp"

#include <catch2/catch_test_macros.hpp>

#include <exception>

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

std::vector<std::string> altered(const std::string& cursor) {
    std::vector<std::string> all(cursor.size(), cursor);
    for (std::size_t i = 0; i < cursor.size(); ++i)
        all[i][i] = cursor[i] == 'A' ? 'B' : 'A';
    return all;
}

void comings_and_goings::after_page(store_under_test& store, const std::string& agent,
                                    const std::string& last) {
    for (const auto& gone : {last, session_name(page_ * 90)}) {
        store.wait(store->erase(agent, gone));
        erased_.insert(gone);
    }
    store.wait(store->save(pgstate::agent_state(agent, "fresh-" + std::to_string(page_++))));
}

void comings_and_goings::check(int count) const {
    for (int i = 0; i < count; ++i) {
        const auto session = session_name(i);
        CHECK(seen_.count(session) <= 1);
        if (!erased_.contains(session)) CHECK(seen_.count(session) == 1);
    }
}

} // namespace pgstate_test
