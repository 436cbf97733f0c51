// What a store keeps after it has sent and received much at once.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <malloc.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

using namespace pgstate_test;

namespace {

constexpr std::size_t large = std::size_t{20} << 20; // more than a connection keeps

/// What the process has from its allocator; 0 under a sanitizer, whose allocator does not say.
std::size_t allocated() {
    const auto all = mallinfo2();
    return all.uordblks + all.hblkhd;
}

pgstate::agent_state text_state(std::size_t bytes, const std::string& session = "s") {
    pgstate::agent_state state("a", session);
    state.data["text"] = std::string(bytes, 'x');
    return state;
}

struct one_connection : opened_store {
    one_connection() : opened_store("&pool_max_conns=1") {}
    std::string backend() { return on_pool("SELECT pg_backend_pid()")[0][0].as<std::string>(); }
};

} // namespace

TEST_CASE("a store gives up what it needed for a large state", "[memory]") {
    one_connection f;
    f.wait(f.store.save(text_state(1)));
    const auto before = allocated();
    const auto at_first = f.backend();
    struct one {
        const char* what;
        std::function<void()> run;
    };
    const std::vector<one> all{
        {"save", [&] { f.wait(f.store.save(text_state(large))); }},
        {"load", [&] { CHECK(f.wait(f.store.load("a", "s"))->data.at("text").as_string().size() == large); }},
        {"find", [&] { CHECK(f.wait(f.store.find(pgstate::state_query())).size() == 1); }},
        {"save in a transaction",
         [&] {
             const auto state = text_state(large);
             f.wait(f.store.transaction([&state](pgstate::transaction& tx) { tx.save(state); }));
         }},
        {"load in a transaction",
         [&] { f.wait(f.store.transaction([](pgstate::transaction& tx) { CHECK(tx.load("a", "s")); })); }},
    };
    auto last = at_first;
    for (const auto& each : all) {
        CAPTURE(each.what);
        each.run();
        CHECK(f.store.pool().stats().total_conns == 0);
        CHECK(allocated() < before + large / 4);
        const auto now = f.backend();
        CHECK(now != last);
        last = now;
    }
}

TEST_CASE("a connection is kept after what every operation may send and receive", "[memory]") {
    one_connection f;
    const auto at_first = f.backend();
    f.wait(f.store.save(text_state(1 << 20)));
    f.wait(f.store.append("a", "s", pgstate::agent_message("user", std::string(15 << 20, 'x'))));
    // Many rows are no large message.
    for (int i = 0; i < 30; ++i)
        f.wait(f.store.save(text_state(1 << 20, std::to_string(i))));
    pgstate::state_query of_all;
    of_all.contains["agent_id"] = "a";
    CHECK(f.wait(f.store.find(of_all)).size() == 31);
    CHECK(f.backend() == at_first);
}

TEST_CASE("who works on meanwhile gets another connection", "[memory]") {
    opened_store f("&pool_max_conns=2");
    int done = 0;
    const auto count = [&](pgstate::result<pgstate::saved> saved) {
        CHECK(saved.has_value());
        ++done;
    };
    constexpr int small = 200;
    for (int i = 0; i < small; ++i) {
        if (i % 100 == 50) f.store.save(text_state(large, "large"), pgstate::as_result(count));
        f.store.save(numbered_state(i, std::to_string(i % 20)), pgstate::as_result(count));
    }
    run_until(f.context, [&] { return done == small + 2; });
    CHECK(f.store.stats().retries == 0);
}
