// What an increment makes of two numbers, and where the pointer finds the one in the state.

#include "support/numbers.hpp"

#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <catch2/catch_get_random_seed.hpp>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;

namespace json = boost::json;

namespace {

constexpr std::string_view not_64_bits = "the sum would not fit into 64 bits";
constexpr std::string_view no_double = "the sum would not fit into a double";
constexpr std::string_view no_number = "the value is not a number";
constexpr std::string_view no_place = "an object or an array element on the way to it is missing";

struct sum {
    std::optional<json::value> value;
    std::string_view refusal{};
};

/// Two integers are added exactly, all else as doubles.
sum sum_of(const json::value& number, const added_number& by) {
    const auto* const integer = std::get_if<std::int64_t>(&by);
    if (number.is_double() || !integer) {
        const double more = integer ? static_cast<double>(*integer) : std::get<double>(by);
        const double all = number.to_number<double>() + more;
        return std::isfinite(all) ? sum{all} : sum{{}, no_double};
    }
    const auto add = [&](auto whole) -> sum {
        std::int64_t low = 0;
        std::uint64_t high = 0;
        if (!__builtin_add_overflow(whole, *integer, &low)) return {low};
        if (!__builtin_add_overflow(whole, *integer, &high)) return {high};
        return {{}, not_64_bits};
    };
    return number.is_uint64() ? add(number.get_uint64()) : add(number.get_int64());
}

auto increment(store_under_test& store, std::string_view pointer, const added_number& by) {
    return store.wait(
        std::visit([&](auto more) { return store->increment("a", "s", pointer, more, as_result); }, by));
}

void save_number(store_under_test& store, const json::value& number) {
    agent_state state("a", "s");
    state.data["x"] = number;
    store.wait(store->save(state));
}

} // namespace

TEST_CASE("any number that is saved, and any sum of two, reads back as it is", "[contract][numbers]") {
    const auto seed = Catch::getSeed();
    CAPTURE(seed);
    store_under_test store;
    random_numbers random(seed);
    for (int i = 0; i < 300; ++i) {
        const auto number = random.number();
        const auto by = random.addend();
        CAPTURE(i, json::serialize(number));
        std::visit([](auto more) { UNSCOPED_INFO("by " << json::serialize(json::value(more))); }, by);
        save_number(store, number);
        CHECK(store.loaded("a", "s").data.at("x") == number);

        const auto expected = sum_of(number, by);
        const auto outcome = increment(store, "/data/x", by);
        REQUIRE(outcome.has_value() == expected.value.has_value());
        if (!outcome) CHECK(names(outcome.error(), std::string(expected.refusal)));
        const auto loaded = store.loaded("a", "s").data.at("x");
        CHECK(loaded == expected.value.value_or(number));
        CHECK(loaded.is_double() == expected.value.value_or(number).is_double());
    }
}

TEST_CASE("a double stays a double, and an integer an integer while none is added", "[contract][numbers]") {
    struct addition {
        json::value number;
        added_number by;
        sum expected;
    };
    constexpr auto largest = std::numeric_limits<double>::max();
    constexpr auto last = std::numeric_limits<std::uint64_t>::max();
    const std::vector<addition> additions{
        {0.5, 0.5, {1.0}},
        {0.30000000000000004, 1, {1.3}},
        {1.5, -1, {0.5}},
        {2.0, 1, {3.0}},
        {2, 1.0, {3.0}},
        {2, 1, {3}},
        {123456.79, 0.0, {123456.79}},
        {1e300, 1, {1e300}},
        {0x1p64, 0.0, {0x1p64}},
        {0x1.8p69, 1, {0x1.8p69}},
        {-0.5, 0.5, {0.0}},
        {5e-324, 5e-324, {1e-323}},
        {largest, 0x1p969, {largest}},
        {largest, 0x1p970, {{}, no_double}},
        {-largest, -largest, {{}, no_double}},
        {largest, -largest, {0.0}},
        {last, 1, {{}, not_64_bits}},
        {last, 1.0, {0x1p64}},
        {last, -1, {last - 1}},
        {std::numeric_limits<std::int64_t>::min(), -1, {{}, not_64_bits}},
        {std::numeric_limits<std::int64_t>::max(), 1, {std::uint64_t{1} << 63}},
    };
    store_under_test store;
    for (std::size_t i = 0; i < additions.size(); ++i) {
        const auto& [number, by, expected] = additions[i];
        CAPTURE(i, json::serialize(number));
        save_number(store, number);
        const auto outcome = increment(store, "/data/x", by);
        CHECK(outcome.has_value() == expected.value.has_value());
        if (!outcome) CHECK(names(outcome.error(), std::string(expected.refusal)));
        CHECK(store.loaded("a", "s").data.at("x") == expected.value.value_or(number));
    }
}

TEST_CASE("a pointer names an array's element by its index, and an object's member by any name",
          "[contract][numbers]") {
    struct step {
        const char* pointer;
        std::string_view refusal{}; ///< empty: it is incremented
    };
    const std::vector<step> steps{
        {"/data/list/0"},
        {"/data/list/2/1"},
        {"/data/list/3", no_place},
        {"/data/list/-", no_place},
        {"/data/list/-1", no_place},
        {"/data/list/+1", no_place},
        {"/data/list/ 1", no_place},
        {"/data/list/1 ", no_place},
        {"/data/list/01", no_place},
        {"/data/list/00", no_place},
        {"/data/list/", no_place},
        {"/data/list/x", no_place},
        {"/data/list/2/-1", no_place},
        {"/data/list/02/1", no_place},
        {"/data/list/99999999999999999999", no_place},
        {"/data/list/0/0", no_place},
        {"/data/list", no_number},
        {"/data/names/-1"},
        {"/data/names/01"},
        {"/data/names/+1"},
        {"/data/names/ 1"},
        {"/data/names/1"},
        {"/data/names/"},
        {"/data/names/new"},
        {"/data/names/x~1y~0z"},
        {"/data/names/{a,\"b\"}"},
        {"/data/-1"},
        {"/data/01"},
        {"/data/"},
        {"/data//x", no_place},
        {"/data/null", no_number},
        {"/data/null/x", no_place},
        {"/data/text", no_number},
        {"/data/text/0", no_place},
        {"/data/missing/x", no_place},
        {"/context/x"},
        {"/context/missing/0", no_place},
    };
    store_under_test store;
    const auto state = state_with("a", "s", R"({"list":[1,2,[3,4]],"text":"12","null":null,"01":1,"names":{
            "-1":1,"01":1,"+1":1," 1":1,"1":1,"":1,"x/y~z":1,"{a,\"b\"}":1}})");
    store.wait(store->save(state));
    for (const auto& [pointer, refusal] : steps) {
        CAPTURE(pointer);
        const auto before = store.loaded("a", "s");
        const auto outcome = increment(store, pointer, 1);
        CHECK(outcome.has_value() == refusal.empty());
        if (!outcome) CHECK(names(outcome.error(), std::string(refusal)));
        CHECK((store.loaded("a", "s").version > before.version) == outcome.has_value());
    }
    const auto loaded = store.loaded("a", "s");
    CHECK(loaded.data == parsed(R"({"list":[2,2,[3,5]],"text":"12","null":null,"01":2,"-1":1,"":1,"names":{
            "-1":2,"01":2,"+1":2," 1":2,"1":2,"":2,"x/y~z":2,"{a,\"b\"}":2,"new":1}})"));
    CHECK(loaded.context == parsed(R"({"x":1})"));
}
