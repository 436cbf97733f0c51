#include "fault/kept_histories.hpp"

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <utility>
#include <vector>

using namespace pgstate_test;
using sort = history::violation::sort;

namespace {

history::observation kept_load(history::write_id saved, std::vector<history::write_id> messages) {
    history::observation seen;
    seen.key = "k";
    seen.version = 9;
    seen.saved = saved;
    seen.appended = std::move(messages);
    return seen;
}

history::time_point kept_at(int moment) {
    return history::time_point(std::chrono::seconds(moment));
}

} // namespace

TEST_CASE("what a save kept is taken from what was loaded", "[history]") {
    kept_histories kept;
    kept.add(5, {1, 2, 5});
    auto seen = kept_load(5, {1, 2, 5, 6});
    CHECK_FALSE(kept.take(seen, 3).has_value());
    CHECK(seen.appended == std::vector<history::write_id>{6});
    auto anew = kept_load(7, {8});
    CHECK_FALSE(kept.take(anew, 0).has_value());
    CHECK(anew.appended == std::vector<history::write_id>{8});
}

TEST_CASE("what a save kept and is not there as it was is found", "[history]") {
    kept_histories kept;
    kept.add(5, {1, 2, 5});
    const auto found = [&](history::observation seen, std::size_t count) {
        const auto wrong = kept.take(seen, count);
        REQUIRE(wrong.has_value());
        CHECK(wrong->key == "k");
        return wrong->what;
    };
    CHECK(found(kept_load(5, {1, 5}), 3) == sort::lost);
    CHECK(found(kept_load(5, {1, 5, 6}), 3) == sort::lost);
    CHECK(found(kept_load(5, {2, 1, 5}), 3) == sort::phantom);
    CHECK(found(kept_load(5, {1, 2, 5, 5}), 4) == sort::doubled);
    CHECK(found(kept_load(5, {1, 2, 5}), 2) == sort::lost);
    CHECK(found(kept_load(7, {1}), 1) == sort::phantom);
}

TEST_CASE("an append between a load and a save of a part of it is found", "[history]") {
    history::write append{.what = history::kind::append,
                          .key = "k",
                          .id = 3,
                          .told = history::outcome::acknowledged,
                          .version = 12,
                          .invoked = kept_at(5),
                          .completed = kept_at(6)};
    const kept_histories::part part{
        .key = "k", .id = 4, .loaded = 10, .loaded_completed = kept_at(4), .version = 14};
    const auto count = [&] {
        kept_histories kept;
        kept.add(part);
        kept.add(append);
        return kept.check().size();
    };
    CHECK(count() == 1);
    append.told = history::outcome::unknown;
    CHECK(count() == 0);
    append.told = history::outcome::acknowledged;
    append.version = 15; // after it
    CHECK(count() == 0);
    append.version = 12;
    append.invoked = kept_at(3); // it may be of an earlier life
    CHECK(count() == 0);
    append.invoked = kept_at(5);
    append.key = "another";
    CHECK(count() == 0);
}
