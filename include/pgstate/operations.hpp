#ifndef PGSTATE_OPERATIONS_HPP
#define PGSTATE_OPERATIONS_HPP

#include "pgstate/agent_state.hpp"
#include "pgstate/connection_pool.hpp"
#include "pgstate/tracer.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgstate {

// Options are trivially destructible or have constructors: g++ 12 destroys a temporary aggregate with other members
// twice when it stands in a full expression with co_await.

/// The longest that a state can be told to live: 100 years.
inline constexpr std::chrono::milliseconds max_ttl = std::chrono::hours(24 * 36'525);

/// In all of them, `timeout` shortens `config.operation_timeout` for one call; 0 leaves it as it is, and a negative one
/// is refused with invalid_argument. `parent` is the span that the operation's own belongs to; by default the one that
/// the calling thread is in, where the tracer can tell.
struct save_options {
    /// Save only over the version that `state.version` names: 0 means that the state must not exist yet, anything else
    /// that it must exist at just that version. Fails with errc::conflict otherwise and changes nothing.
    bool if_unchanged = false;
    /// How long the state lives from now, 1 ms to max_ttl; nothing: `config.default_ttl`, or for ever where there is
    /// none. A save always decides anew: one without a ttl ends the expiry of what it replaces.
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

struct load_options {
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

struct erase_options {
    /// Erase only this version; fails with errc::conflict where there is another and changes nothing.
    std::optional<std::int64_t> if_version{};
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

struct touch_options {
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

/// Of append, merge and increment, which change a part of a state.
struct change_options {
    /// Creates a state that is missing, from nothing but the change; otherwise a missing one is errc::not_found. Not
    /// together with if_version.
    bool create = false;
    /// Change only this version; fails with errc::conflict where there is another and changes nothing.
    std::optional<std::int64_t> if_version{};
    /// How long the state lives from now, 1 ms to max_ttl; nothing: its expiry stays as it is, and one that is created
    /// gets `config.default_ttl`.
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

struct count_options {
    /// The planner's estimate instead of counting: at once whatever the table's size, and as good as the server's last
    /// ANALYZE of the table. States that have expired count until they are swept, and none is estimated as 1 or more.
    /// A memory_store counts.
    bool estimate = false;
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

struct list_options {
    /// Sessions on a page, 1 to max_limit.
    std::size_t limit = 100;
    /// `session_page::next` of the page before; empty for the first.
    std::string after;
    std::chrono::milliseconds timeout{0};
    span_context parent{};

    static constexpr std::size_t max_limit = 10'000;

    list_options() = default;
    explicit list_options(std::size_t limit_, std::string after_ = {},
                          std::chrono::milliseconds timeout_ = {})
        : limit(limit_), after(std::move(after_)), timeout(timeout_) {}
};

struct list_agents_options {
    /// Agents on a page, 1 to max_limit.
    std::size_t limit = 100;
    /// `agent_page::next` of the page before; empty for the first.
    std::string after;
    std::chrono::milliseconds timeout{0};
    span_context parent{};

    static constexpr std::size_t max_limit = 10'000;

    list_agents_options() = default;
    explicit list_agents_options(std::size_t limit_, std::string after_ = {},
                                 std::chrono::milliseconds timeout_ = {})
        : limit(limit_), after(std::move(after_)), timeout(timeout_) {}
};

/// From `from` on and before `until`; nothing: without that end.
struct time_interval {
    std::optional<timestamp> from{};
    std::optional<timestamp> until{};

    friend bool operator==(const time_interval&, const time_interval&) = default;
};

/// The order of what `find` gives; ties by agent_id and session_id in the same direction (by bytes).
enum class find_order { updated_descending, updated_ascending, created_descending, created_ascending };

/// What `find` looks for: the states for which everything holds that is set.
struct state_query {
    /// Of this agent only; empty: of every agent.
    std::string agent_id;
    /// A part of the stored document, as jsonb's operator `@>` takes it: `{"data": {"user": 7}}`. Objects contain their
    /// members in any depth, arrays their elements in any order; numbers compare as numbers. Empty: any document.
    boost::json::object contains;
    /// An SQL/JSON path that is a predicate, as jsonb's operator `@@` takes it: `$.data.score > 0.5`,
    /// `exists($.history[*] ? (@.role == "tool"))`. States for which it is false, unknown or no predicate are not
    /// found. Empty: any document. (PostgreSQL manual, "The SQL/JSON Path Language")
    std::string jsonpath;
    time_interval updated{};
    time_interval created{};
    find_order order = find_order::updated_descending;

    state_query() = default;
};

struct find_options {
    /// States on a page, 1 to max_limit.
    std::size_t limit = 100;
    /// `state_page::next` of the page before; empty for the first.
    std::string after;
    /// False: without what is in the documents; data, history, context and extra are left empty.
    bool documents = true;
    std::chrono::milliseconds timeout{0};
    span_context parent{};

    static constexpr std::size_t max_limit = 1'000;

    find_options() = default;
    explicit find_options(std::size_t limit_, std::string after_ = {},
                          std::chrono::milliseconds timeout_ = {})
        : limit(limit_), after(std::move(after_)), timeout(timeout_) {}
};

enum class isolation_level { read_committed, repeatable_read, serializable };

struct transaction_options {
    isolation_level isolation = isolation_level::read_committed;
    /// How often the function is called again after a serialization failure or a deadlock (40001, 40P01).
    int max_retries = 10;
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

struct update_options {
    /// How often the state is loaded again and the function called again after a conflict.
    int max_retries = 10;
    /// Give the function a new state where there is none. Otherwise that is errc::not_found.
    bool create = false;
    /// As in save_options: without one, what is saved lives for `config.default_ttl` or for ever, whatever expiry the
    /// state had.
    std::optional<std::chrono::milliseconds> ttl{};
    /// For all of it, pauses included: each load and save gets what is left, and never more than
    /// `config.operation_timeout`. 0: no limit but that.
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

struct save_all_options {
    /// All states are saved in one transaction, or none is.
    bool atomic = false;
    /// As in save_options, for each of them.
    bool if_unchanged = false;
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds timeout{0};
    span_context parent{};
};

/// What a state is known by: one of the keys that `load_all` and `erase_all` take.
struct state_key {
    std::string agent_id;
    std::string session_id;

    state_key() = default;
    state_key(std::string agent, std::string session)
        : agent_id(std::move(agent)), session_id(std::move(session)) {}

    friend auto operator<=>(const state_key&, const state_key&) = default;
};

/// A finished save.
struct saved {
    std::int64_t version = 0;
    timestamp created_at{};
    timestamp updated_at{};
    std::optional<timestamp> expires_at{}; ///< nothing: never

    friend bool operator==(const saved&, const saved&) = default;
};

/// What `merge` changes: members of `agent_state::data` and `agent_state::context`, each as a whole. A name cannot be
/// both set and removed; to remove one that is not there is no error.
struct state_patch {
    boost::json::object data;                ///< members to set
    boost::json::object context;             ///< members to set
    std::vector<std::string> remove_data;    ///< names of members to remove
    std::vector<std::string> remove_context; ///< names of members to remove

    state_patch() = default;
};

/// The most that one append or merge takes, in bytes of JSON; also of `state_query::contains` and of its jsonpath.
inline constexpr std::size_t max_change_bytes = std::size_t{16} << 20;

/// A session as `list` shows it: everything but the state itself.
struct session_info {
    std::string session_id;
    std::int64_t version = 0;
    timestamp created_at{};
    timestamp updated_at{};

    friend bool operator==(const session_info&, const session_info&) = default;
};

/// A page of sessions, most recently updated first, ties in descending order of `session_id` (by bytes).
struct session_page {
    std::vector<session_info> sessions;
    /// Give it to `list_options::after` for the page that follows; empty at the end. Opaque, and good only for the same
    /// agent; valid for as long as the table lives.
    std::string next;

    auto begin() const noexcept { return sessions.begin(); }
    auto end() const noexcept { return sessions.end(); }
    std::size_t size() const noexcept { return sessions.size(); }
    bool empty() const noexcept { return sessions.empty(); }
};

/// An agent as `list_agents` shows it.
struct agent_info {
    std::string agent_id;
    std::int64_t sessions = 0; ///< that have not expired, at least one
    timestamp updated_at{};    ///< the latest of its sessions

    friend bool operator==(const agent_info&, const agent_info&) = default;
};

/// A page of agents in ascending order of `agent_id`: in the database's collation, and by bytes in a memory_store.
struct agent_page {
    std::vector<agent_info> agents;
    /// Give it to `list_agents_options::after` for the page that follows; empty at the end. Opaque; valid for as long
    /// as the table lives.
    std::string next;

    auto begin() const noexcept { return agents.begin(); }
    auto end() const noexcept { return agents.end(); }
    std::size_t size() const noexcept { return agents.size(); }
    bool empty() const noexcept { return agents.empty(); }
};

/// A page of what `find` found.
struct state_page {
    std::vector<agent_state> states;
    /// Give it to `find_options::after`, with the same query, for the page that follows; empty at the end. Opaque;
    /// valid for as long as the table lives.
    std::string next;

    auto begin() const noexcept { return states.begin(); }
    auto end() const noexcept { return states.end(); }
    std::size_t size() const noexcept { return states.size(); }
    bool empty() const noexcept { return states.empty(); }
};

/// What `health_check` found.
struct health_report {
    std::chrono::microseconds round_trip{
        0};                 ///< one statement there and back, the wait for a connection included
    int server_version = 0; ///< as PostgreSQL numbers it: 150018 is 15.18; 0 for a memory_store
    bool read_only = false; ///< the server is in recovery or refuses writes by default
    pool_stats pool{};
};

} // namespace pgstate

#endif
