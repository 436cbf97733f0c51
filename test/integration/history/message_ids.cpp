// Messages with ids that several stores append to one table.

#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <exception>
#include <string>
#include <vector>

using namespace pgstate_test;

TEST_CASE("stores that append the same messages at once add each once", "[ids]") {
    constexpr std::size_t stores = 3;
    constexpr std::size_t messages = 50;
    opened_store f;
    std::vector<pgstate::postgres_store> all;
    for (std::size_t i = 0; i < stores; ++i)
        all.push_back(f.wait(pgstate::postgres_store::open(f.context.get_executor(), f.settings)));
    std::size_t over = 0;
    std::size_t applied = 0;
    const pgstate::change_options creating{.create = true};
    for (std::size_t n = 0; n < messages; ++n)
        for (auto& store : all) {
            pgstate::agent_message message("user", "text");
            message.id = std::to_string(n);
            store.append("a", n % 2 == 0 ? "even" : "odd", message, creating,
                         [&](std::exception_ptr failure, const pgstate::saved& made) {
                             CHECK_FALSE(failure);
                             applied += made.applied ? 1 : 0;
                             ++over;
                         });
        }
    run_until(f.context, [&] { return over == stores * messages; });
    CHECK(applied == messages);
    for (auto& store : all)
        f.wait(store.close());

    // Those of a program that was started later as well.
    auto later = f.wait(pgstate::postgres_store::open(f.context.get_executor(), f.settings));
    for (std::size_t n = 0; n < messages; ++n) {
        pgstate::agent_message message("user", "text");
        message.id = std::to_string(n);
        CHECK_FALSE(f.wait(later.append("a", n % 2 == 0 ? "even" : "odd", message)).applied);
    }
    CHECK(f.wait(later.load("a", "even"))->history.size() == messages / 2);
    CHECK(f.wait(later.load("a", "odd"))->history.size() == messages / 2);
    f.wait(later.close());
}
