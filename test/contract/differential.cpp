// The same operations on a memory_store and on a postgres_store: whatever the one answers, the other answers.

#include "support/numbers.hpp"
#include "support/states.hpp"
#include "support/stores.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <catch2/catch_get_random_seed.hpp>
#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::change_options;
using pgstate::errc;
using pgstate::state_patch;
using pgstate::timestamp;

namespace json = boost::json;

namespace {

/// A store, and the versions that its keys had: those of two stores differ.
struct side {
    explicit side(store_kind kind) : store(kind) {}
    store_under_test store;
    std::map<std::string, std::int64_t> versions{};
};

class random_run {
    template <class Function>
    auto on_both(Function function) {
        return std::pair(function(memory_), function(server_));
    }

public:
    explicit random_run(unsigned seed) : random_(seed) {}

    void step() {
        key_ = std::to_string(random_.below(3));
        switch (random_.below(9)) {
        case 0: return save();
        case 1: return append();
        case 2: return merge();
        case 3: return update();
        case 4: return touch();
        case 5: return find();
        case 6: return random_.below(2) == 0 ? erase() : let_time_pass();
        default: return increment();
        }
    }

    void check_everything() {
        const auto [ours, theirs] = on_both([](side& on) {
            std::vector<agent_state> states;
            std::string order;
            for (const auto& each : on.store.wait(on.store->list("a"))) {
                order += each.session_id;
                states.push_back(on.store.loaded("a", each.session_id));
            }
            return std::pair(order, states);
        });
        CHECK(ours.first == theirs.first);
        REQUIRE(ours.second.size() == theirs.second.size());
        for (std::size_t i = 0; i < ours.second.size(); ++i)
            check_same(ours.second[i], theirs.second[i]);
    }

private:
    void check_same(const agent_state& ours, const agent_state& theirs) {
        CAPTURE(ours.session_id);
        auto a = contents_of(ours);
        auto b = contents_of(theirs);
        a.expires_at = b.expires_at = std::nullopt;
        CHECK(a == b);
        CHECK(ours.expires_at.has_value() == theirs.expires_at.has_value());
    }

    /// Does the same on both. Writes tell versions; what is refused is refused in the same words, but for the version.
    template <class Begin>
    void both(Begin begin) {
        const auto [ours, theirs] = on_both([&](side& on) {
            auto outcome = on.store.wait(begin(on));
            if (outcome) on.versions[key_] = outcome->version;
            return outcome;
        });
        INFO("memory: " << (ours ? "done" : ours.error().what()));
        INFO("server: " << (theirs ? "done" : theirs.error().what()));
        REQUIRE(ours.has_value() == theirs.has_value());
        if (ours) {
            REQUIRE(ours->expires_at.has_value() == theirs->expires_at.has_value());
            return;
        }
        CHECK(ours.error().code() == theirs.error().code());
        if (ours.error() != errc::conflict) CHECK(std::string(ours.error().what()) == theirs.error().what());
    }

    void save() {
        agent_state state("a", key_);
        state.data = members();
        state.context = members();
        state.extra["weight"] = random_.number();
        state.history = messages();
        pgstate::save_options options;
        options.ttl = ttl();
        options.if_unchanged = random_.below(3) == 0;
        const bool at_it = random_.below(3) != 0;
        both([&](side& on) {
            auto copy = state;
            copy.version = at_it ? on.versions[key_] : 1'000'000;
            return on.store->save(copy, options, as_result);
        });
    }
    void append() {
        const auto more = messages();
        change([&](side& on, const change_options& options) {
            return on.store->append("a", key_, more, options, as_result);
        });
    }
    void merge() {
        state_patch patch;
        patch.data["n"] = random_.number();
        patch.context["list"] = json::array{random_.number(), random_.number()};
        patch.remove_data = {"null", "-1"};
        if (random_.below(4) == 0) patch.remove_context = {"list"}; // both: refused
        change([&](side& on, const change_options& options) {
            return on.store->merge("a", key_, patch, options, as_result);
        });
    }
    void increment() {
        constexpr std::array pointers{
            "/data/n",          "/data/n",         "/data/n",         "/context/n",     "/data/deep/n",
            "/data/new/n",      "/data/deep/new",  "/data/list/0",    "/data/list/1",   "/data/list/2/0",
            "/data/list/01",    "/data/list/-1",   "/data/list/-",    "/data/list/9",   "/data/list/n",
            "/data/deep/01",    "/data/deep/-1",   "/data/deep/x~1y", "/data/deep/~01", "/data/text",
            "/data/null",       "/data/null/x",    "/data/",          "/data//n",       "/data",
            "/context/list/+1", "/context/list/1", "/history/0",      "/data/a~2",      "data/n"};
        const auto* const pointer = pointers.at(random_.below(pointers.size()));
        const auto by = random_.addend();
        UNSCOPED_INFO(pointer);
        change([&](side& on, const change_options& options) {
            return std::visit(
                [&](auto more) { return on.store->increment("a", key_, pointer, more, options, as_result); },
                by);
        });
    }
    void update() {
        const auto number = random_.number();
        auto function = [number](agent_state& state) { state.data["n"] = number; };
        both([&](side& on) { return on.store->update("a", key_, function, as_result); });
    }
    void touch() {
        const auto time = ttl();
        both([&](side& on) { return on.store->touch("a", key_, time, as_result); });
    }
    void erase() {
        const auto [ours, theirs] =
            on_both([&](side& on) { return on.store.wait(on.store->erase("a", key_)); });
        CHECK(ours == theirs);
    }
    template <class Begin>
    void change(Begin begin) {
        change_options options;
        options.create = random_.below(2) == 0;
        options.ttl = ttl();
        const auto at = options.create ? 0 : random_.below(4);
        both([&](side& on) {
            if (at != 0) options.if_version = at == 1 ? 1'000'000 : on.versions[key_];
            return begin(on, options);
        });
    }
    /// By a number that a state has, or by one that none has.
    void find() {
        const auto state = server_.store.wait(server_.store->load("a", key_));
        const auto* number = state && random_.below(4) != 0 ? state->data.if_contains("n") : nullptr;
        pgstate::state_query query;
        query.contains["data"] = json::object{{"n", number ? *number : random_.number()}};
        query.agent_id = "a";
        const auto [ours, theirs] = on_both([&](side& on) {
            std::string found;
            for (const auto& each : on.store.wait(on.store->find(query)))
                found += each.session_id;
            return found;
        });
        CHECK(ours == theirs);
    }
    /// Times to live are whole hours: what the test itself takes does not matter.
    void let_time_pass() {
        const auto time = 30min + 1h * random_.below(3);
        on_both([&](side& on) {
            on.store.let_pass(time);
            return 0;
        });
    }

    json::object members() {
        return {
            {"n", random_.number()},
            {"deep", {{"n", random_.number()}, {"01", random_.number()}, {"-1", 1}, {"x/y", 1}, {"~1", 0.5}}},
            {"list", {random_.number(), random_.number(), {random_.number()}}},
            {"text", "12"},
            {"null", nullptr},
            {"", random_.number()}};
    }
    std::vector<pgstate::agent_message> messages() {
        std::vector<pgstate::agent_message> made(random_.below(3));
        for (auto& each : made) {
            each.role = "user";
            each.timestamp = time();
            each.metadata["n"] = random_.number();
        }
        return made;
    }
    /// Within the years that RFC 3339 has.
    timestamp time() {
        using namespace std::chrono;
        const timestamp first = sys_days(year(0) / 1 / 1);
        const timestamp last = sys_days(year(10000) / 1 / 1);
        return first + microseconds(random_.below(static_cast<std::size_t>((last - first).count())));
    }
    std::optional<std::chrono::milliseconds> ttl() {
        if (random_.below(2) == 0) return std::nullopt;
        return std::chrono::hours(1 + random_.below(5));
    }

    random_numbers random_;
    side memory_{store_kind::memory};
    side server_{store_kind::postgres};
    std::string key_;
};

} // namespace

TEST_CASE("a memory_store and a postgres_store answer the same", "[contract][differential]") {
    const unsigned seed = Catch::getSeed();
    CAPTURE(seed);
    random_run run(seed);
    for (int i = 0; i < 600; ++i) {
        CAPTURE(i);
        run.step();
        if (i % 10 == 9) run.check_everything();
    }
}
