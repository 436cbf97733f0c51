#pragma once

#include "batch/planner.hpp"

#include <catch2/catch_test_macros.hpp>

#include <deque>
#include <string>
#include <string_view>
#include <vector>

/// What the cases about the planner share.
namespace planner_cases {

using pgstate::batch_config;
using pgstate::batch::hash_key;
using pgstate::batch::item;
using pgstate::batch::manner;
using pgstate::batch::planner;
using pgstate::batch::room_on;
using pgstate::batch::traits;
using status = pgstate::batch::item::status;
using items = std::vector<item*>;

/// Types as a store has them; their addresses tell them apart.
namespace type {
constexpr traits saves{.writes = true, .keyed = true, .shares = true};
constexpr traits creates = saves;
constexpr traits replaces = saves;
constexpr traits erases = saves;
constexpr traits changes{.writes = true, .keyed = true};
constexpr traits loads{.keyed = true, .shares = true};
constexpr traits probes = loads;
constexpr traits lists{};
constexpr traits healths{};
constexpr traits finds{.takes_long = true};

constexpr const traits* save = &saves;
constexpr const traits* create = &creates;
constexpr const traits* replace = &replaces;
constexpr const traits* erase = &erases;
constexpr const traits* change = &changes;
constexpr const traits* load = &loads;
constexpr const traits* probe = &probes;
constexpr const traits* list = &lists;
constexpr const traits* health = &healths;
constexpr const traits* find = &finds;
} // namespace type

inline batch_config limits(std::size_t max_operations, std::size_t max_bytes = 8000) {
    batch_config result;
    result.max_operations = max_operations;
    result.max_bytes = max_bytes;
    return result;
}

/// A planner and the operations submitted to it, which outlive it.
struct bench {
    explicit bench(const batch_config& with = limits(100)) : plan(with) {}

    item& submit(const traits* what, std::string_view session_id, std::size_t bytes = 10,
                 bool alone = false) {
        return submit_of("agent", what, session_id, bytes, alone);
    }

    item& submit_of(std::string_view agent_id, const traits* what, std::string_view session_id,
                    std::size_t bytes = 10, bool alone = false) {
        auto& made = all.emplace_back();
        made.type = what;
        made.exclusive = what->writes;
        made.agent_id = agent_id;
        made.session_id = session_id;
        made.key_hash = hash_key(made.agent_id, made.session_id);
        made.bytes = bytes;
        made.how = alone ? manner::alone : manner::shared;
        plan.submit(made);
        return made;
    }

    items submit_many(const traits* what, std::size_t count, std::size_t bytes = 10) {
        items made;
        for (std::size_t i = 0; i < count; ++i)
            made.push_back(&submit(what, names.emplace_back("many" + std::to_string(1000 + i)), bytes));
        return made;
    }

    void finish(const items& batch) {
        for (auto* each : batch)
            plan.finished(*each);
    }

    std::deque<std::string> names;
    std::deque<item> all;
    planner plan;
};

} // namespace planner_cases
