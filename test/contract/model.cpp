#include "support/stores.hpp"

#include <catch2/catch_get_random_seed.hpp>
#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// What a state should be, by rules that are plain enough to be seen through.
struct model_state {
    std::int64_t version = 0;
    std::int64_t value = 0;
    std::vector<std::string> history;
    std::optional<std::chrono::milliseconds> left; ///< to live
};

/// Random operations on a few keys, each checked against the model at once.
class model_run {
public:
    model_run(store_under_test& store, unsigned seed) : store_(store), random_(seed) {}

    void step() {
        const auto key = std::to_string(below(keys));
        auto& there = states_[key];
        switch (below(8)) {
        case 0: return save(key, there, std::nullopt);
        case 1: return save(key, there, pick_version(there));
        case 2: return erase(key, there);
        case 3: return touch(key, there);
        case 4: return append(key, there);
        case 5: return merge(key, there);
        case 6: return increment(key, there);
        default: return let_time_pass();
        }
    }

    void check_everything() {
        std::int64_t living = 0;
        for (const auto& [key, expected] : states_) {
            CAPTURE(key);
            const auto loaded = store_.wait(store_->load("a", key));
            REQUIRE(loaded.has_value() == expected.has_value());
            if (!expected) continue;
            ++living;
            CHECK(loaded->version == expected->version);
            CHECK(loaded->data.at("value") == expected->value);
            CHECK(loaded->expires_at.has_value() == expected->left.has_value());
            std::vector<std::string> contents;
            for (const auto& each : loaded->history)
                contents.push_back(each.content);
            CHECK(contents == expected->history);
        }
        CHECK(store_.wait(store_->count("a")) == living);
        CHECK(static_cast<std::int64_t>(store_.wait(store_->list("a")).size()) == living);
    }

private:
    using entry = std::optional<model_state>;
    static constexpr unsigned keys = 4;

    unsigned below(unsigned limit) { return std::uniform_int_distribution<unsigned>(0, limit - 1)(random_); }
    bool coin() { return below(2) == 0; }
    /// Far enough from each other that the time a test takes does not matter.
    std::optional<std::chrono::milliseconds> pick_ttl() {
        if (coin()) return std::nullopt;
        return std::chrono::hours(1 + below(5));
    }
    std::int64_t pick_version(const entry& there) {
        if (below(3) == 0) return 0;
        return there && coin() ? there->version : std::int64_t{1} + below(1000);
    }

    /// That a write succeeded, with a version above all that the key ever had.
    void took_effect(const std::string& key, entry& there, const pgstate::result<pgstate::saved>& result) {
        INFO((result ? "" : result.error().what()));
        REQUIRE(result.has_value());
        auto& last = last_versions_[key];
        CHECK(result->version > last);
        there->version = last = result->version;
        CHECK(result->expires_at.has_value() == there->left.has_value());
    }

    template <class T>
    void refused(const entry& there, const pgstate::result<T>& result, errc why) {
        REQUIRE_FALSE(result.has_value());
        INFO(result.error().what());
        CHECK(result.error() == why);
        if (why == errc::conflict) CHECK(result.error().current_version() == (there ? there->version : 0));
    }

    void save(const std::string& key, entry& there, std::optional<std::int64_t> version) {
        agent_state state("a", key);
        const std::int64_t value = below(1000);
        state.data["value"] = value;
        constexpr std::int64_t some = 7; // where nothing is asked, it only says that the state was loaded
        state.version = version ? *version : coin() ? some : 0;
        pgstate::save_options options;
        options.if_unchanged = version.has_value();
        options.ttl = pick_ttl();
        const auto result = store_.wait(store_->save(state, options, as_result));
        if (version && *version != (there ? there->version : 0))
            return refused(there, result, errc::conflict);
        const bool keeps = there && state.version != 0 && !options.ttl;
        there = model_state{0, value, {}, keeps ? there->left : options.ttl};
        took_effect(key, there, result);
    }

    void erase(const std::string& key, entry& there) {
        pgstate::erase_options options;
        if (coin()) options.if_version = pick_version(there);
        const auto result = store_.wait(store_->erase("a", key, options, as_result));
        if (there && options.if_version && *options.if_version != there->version)
            return refused(there, result, errc::conflict);
        REQUIRE(result.has_value());
        CHECK(*result == there.has_value());
        there.reset();
    }

    void touch(const std::string& key, entry& there) {
        const auto ttl = pick_ttl();
        const auto result = store_.wait(store_->touch("a", key, ttl, as_result));
        if (!there) return refused(there, result, errc::not_found);
        REQUIRE(result.has_value());
        CHECK(result->version == there->version);
        there->left = ttl;
        CHECK(result->expires_at.has_value() == ttl.has_value());
    }

    template <class Begin, class Apply>
    void change(const std::string& key, entry& there, Begin begin, Apply apply) {
        pgstate::change_options options;
        options.create = coin();
        options.ttl = pick_ttl();
        if (!options.create && coin()) options.if_version = pick_version(there);
        const auto result = store_.wait(begin(options));
        if (!there && !options.create) return refused(there, result, errc::not_found);
        if (options.if_version && *options.if_version != there->version)
            return refused(there, result, errc::conflict);
        if (!there) there.emplace();
        if (options.ttl) there->left = options.ttl;
        apply(*there);
        took_effect(key, there, result);
    }

    void append(const std::string& key, entry& there) {
        const std::vector<pgstate::agent_message> messages{{"user", std::to_string(below(1000))},
                                                           {"user", "second"}};
        // A state that an append makes has no value yet.
        if (!there) return merge(key, there);
        change(
            key, there, [&](auto options) { return store_->append("a", key, messages, options, as_result); },
            [&](model_state& to) {
                for (const auto& each : messages)
                    to.history.push_back(each.content);
            });
    }

    void merge(const std::string& key, entry& there) {
        pgstate::state_patch patch;
        const std::int64_t value = below(1000);
        patch.data["value"] = value;
        change(
            key, there, [&](auto options) { return store_->merge("a", key, patch, options, as_result); },
            [&](model_state& to) { to.value = value; });
    }

    void increment(const std::string& key, entry& there) {
        const std::int64_t by = std::int64_t{below(100)} - 50;
        change(
            key, there,
            [&](auto options) { return store_->increment("a", key, "/data/value", by, options, as_result); },
            [&](model_state& to) { to.value += by; });
    }

    void let_time_pass() {
        const auto time = std::chrono::minutes(30 + below(120));
        store_.let_pass(time);
        for (auto& [key, there] : states_) {
            if (!there || !there->left) continue;
            *there->left -= time;
            // Times are whole minutes: what the test itself takes does not matter.
            if (there->left->count() <= 0) there.reset();
        }
    }

    store_under_test& store_;
    std::mt19937 random_;
    std::map<std::string, entry> states_;
    std::map<std::string, std::int64_t> last_versions_;
};

} // namespace

TEST_CASE("any sequence of operations leaves what a plain model says", "[contract][model]") {
    const unsigned seed = Catch::getSeed();
    CAPTURE(seed);
    store_under_test store;
    model_run run(store, seed);
    for (int i = 0; i < 300; ++i) {
        CAPTURE(i);
        run.step();
        if (i % 10 == 9) run.check_everything();
    }
}
