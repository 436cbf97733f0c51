#include "unit/batch/planner_support.hpp"

#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string_view>
#include <utility>

namespace planner_cases {

namespace {

/// Drives a planner at random and checks each batch against what was submitted.
class random_run {
public:
    random_run(unsigned seed, const batch_config& with) : random_(seed), limits_(with), plan_(with) {}

    void run(int steps) {
        for (int i = 0; i < steps; ++i)
            step();
        while (!live_.empty()) {
            // While nothing is under way, whatever waits must find its turn.
            if (sent_.empty()) REQUIRE(plan_.ready() > 0);
            take(1);
            while (!sent_.empty())
                finish(sent_.begin());
        }
        CHECK(plan_.ready() == 0);
        CHECK(plan_.blocked() == 0);
        CHECK(plan_.next(1).empty());
    }

private:
    struct expectation {
        bool write = false; ///< as submitted: a probe keeps the rights of its write
        std::size_t due = 1;
        std::size_t came = 0;
    };
    using live_map = std::map<item*, expectation>;
    // By age rather than by address: a seed gives the same run every time.
    struct older {
        bool operator()(const item* a, const item* b) const { return a->order < b->order; }
    };
    using sent_set = std::set<item*, older>;

    std::size_t below(std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
    }

    void step() {
        const auto dice = below(100);
        if (dice < 45 && live_.size() < 60)
            submit();
        else if (dice < 55)
            withdraw();
        else if (dice < 75)
            take(below(4));
        else if (!sent_.empty()) {
            auto at = sent_.begin();
            std::advance(at, static_cast<std::ptrdiff_t>(below(sent_.size())));
            if (dice < 95)
                finish(at);
            else
                again(at);
        }
        REQUIRE(plan_.ready() + plan_.blocked() + sent_.size() == live_.size());
    }

    void submit() {
        static constexpr std::array<std::string_view, 3> ids{"a", "b", "c"};
        static constexpr std::array types{type::save, type::save, type::create, type::replace, type::load,
                                          type::load, type::load, type::erase,  type::list,    type::health};
        auto& made = items_.emplace_back();
        made.type = types[below(types.size())];
        made.agent_id = ids[below(2)];
        made.session_id = ids[below(ids.size())];
        made.key_hash = hash_key(made.agent_id, made.session_id);
        made.bytes = below(20) == 0 ? limits_.max_bytes * 2 : below(limits_.max_bytes / 6);
        made.how = below(20) == 0 ? manner::alone : manner::shared;
        live_[&made].write = made.exclusive = made.type->writes;
        plan_.submit(made);
        REQUIRE(made.state != status::outside);
    }

    void withdraw() {
        if (items_.empty()) return;
        auto& one = items_[items_.size() - 1 - below(std::min<std::size_t>(items_.size(), 80))];
        const bool here = live_.count(&one) > 0 && sent_.count(&one) == 0;
        REQUIRE(plan_.withdraw(one) == here);
        if (here) live_.erase(&one);
    }

    void take(std::size_t idle) {
        const bool some = plan_.ready() > 0;
        const auto batch = plan_.next(idle);
        REQUIRE(batch.empty() != some);
        REQUIRE(batch.size() <= limits_.max_operations);
        std::size_t bytes = 0;
        for (auto* each : batch) {
            REQUIRE(each->state == status::sent);
            REQUIRE(each->type == batch.front()->type);
            if (batch.size() > 1) {
                REQUIRE(each->type->keyed);
                REQUIRE(each->how == manner::shared);
            }
            REQUIRE(live_.count(each) == 1);
            REQUIRE(sent_.insert(each).second);
            auto& expected = live_[each];
            REQUIRE(++expected.came == expected.due);
            bytes += each->bytes;
        }
        if (batch.size() > 1) REQUIRE(bytes <= limits_.max_bytes);
        for (std::size_t i = 1; i < batch.size(); ++i) {
            const auto before = std::pair(batch[i - 1]->agent_id, batch[i - 1]->session_id);
            const auto after = std::pair(batch[i]->agent_id, batch[i]->session_id);
            REQUIRE(before <= after);
            if (batch[i]->type->writes) REQUIRE(before != after);
        }
        for (auto* each : batch)
            REQUIRE(nothing_overtaken(*each));
    }

    /// Everything older for the key is over, except reads before a read.
    bool nothing_overtaken(const item& one) {
        if (!one.type->keyed) return true;
        const bool write = live_[const_cast<item*>(&one)].write;
        return std::none_of(live_.begin(), live_.end(), [&](const auto& each) {
            const auto& [other, expected] = each;
            return other->order < one.order && other->type->keyed && other->agent_id == one.agent_id &&
                   other->session_id == one.session_id && (write || expected.write);
        });
    }

    void finish(sent_set::iterator at) {
        plan_.finished(**at);
        REQUIRE((*at)->state == status::outside);
        live_.erase(*at);
        sent_.erase(at);
    }

    void again(sent_set::iterator at) {
        auto& one = **at;
        sent_.erase(at);
        ++live_[&one].due;
        if (one.type->writes && below(2) == 0)
            one.type = type::probe;
        else
            one.how = manner::alone;
        plan_.again(one);
    }

    std::mt19937 random_;
    batch_config limits_;
    std::deque<item> items_;
    planner plan_;
    live_map live_;
    sent_set sent_;
};

} // namespace

TEST_CASE("whatever happens, each operation comes once, in its key's order, within the caps", "[planner]") {
    const auto seed = GENERATE(range(1U, 9U));
    CAPTURE(seed);
    auto with = limits(1 + seed % 5 * 3, 2000);
    with.enabled = seed != 8;
    random_run(seed, with).run(2500);
}

} // namespace planner_cases
