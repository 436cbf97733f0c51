#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/connection_pool.hpp"
#include "pgstate/detail/export.hpp"
#include "pgstate/history_window.hpp"
#include "pgstate/tracer.hpp"

#include <boost/json/object.hpp>

#include <chrono>
#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate {

// Options are trivially destructible or have constructors: g++ 12 destroys a temporary aggregate with other members
// twice when it stands in a full expression with co_await.

/// The longest that a state can be told to live: 100 years.
inline constexpr std::chrono::milliseconds max_ttl = std::chrono::hours(24 * 36'525);

// Each has `timeout` and `parent` as members of its own, not from a base: a designated initializer names no member of a base,
// and `{.timeout = 5s}` is to work for all of them. Inside, templates read the two from any options.

/// What every operation takes; all there is for touch and health_check.
struct call_options {
    /// Shortens `config.operation_timeout` for one call. 0 leaves it as it is; a negative one is refused with
    /// invalid_argument.
    std::chrono::milliseconds timeout{0};
    /// The span that the operation's own belongs to. Not valid: the one that the calling thread is in, where the tracer can
    /// tell.
    span_context parent{};
};

/// Of load and load_all.
struct load_options {
    /// The part of the history to load. A state with only a part of its history is saved in part: see state_store::save. One whose
    /// whole history is in the window is a whole state, and its save replaces the history. Not together with `at`.
    history_window history{};
    /// The state as it was at this version: that of a checkpoint, or the present one. Fails with schema_mismatch unless
    /// config.schema.checkpoints is set. Not for load_all.
    std::optional<std::int64_t> at{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of save.
struct save_options {
    /// Save only over the version that `state.version` names: 0 means that the state must not exist yet, anything else
    /// that it must exist at just that version. Fails with errc::conflict otherwise and changes nothing.
    bool if_unchanged = false;
    /// How long the state lives from now, 1 ms to max_ttl. Nothing: a state that was loaded (its version is not 0) keeps
    /// the expiry that it has in the table, or none; `touch` changes or ends it. A new one (version 0), and one that is not
    /// in the table any more, gets `config.default_ttl`, or lives for ever where there is none, also where it replaces
    /// another.
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of erase and erase_all.
struct erase_options {
    /// Erase only this version; fails with errc::conflict where there is another and changes nothing.
    std::optional<std::int64_t> if_version{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
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
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of count.
struct count_options {
    /// The planner's estimate instead of counting: at once whatever the table's size, and as good as the server's last
    /// ANALYZE of the table. States that have expired count until they are swept, and none is estimated as 1 or more.
    /// A memory_store counts.
    bool estimate = false;
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of list: which page, and how long.
struct list_options {
    /// Sessions on a page, 1 to max_limit.
    std::size_t limit = 100;
    /// `session_page::next` of the page before; empty for the first.
    std::string after;
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options

    static constexpr std::size_t max_limit = 10'000; ///< the largest page

    list_options() = default;
    /// For an expression with co_await.
    explicit list_options(std::size_t limit_, std::string after_ = {},
                          std::chrono::milliseconds timeout_ = {})
        : limit(limit_), after(std::move(after_)), timeout(timeout_) {}
};

/// Of list_agents, whose pages have agents; `after` is `agent_page::next`.
using list_agents_options = list_options;

/// From `from` on and before `until`; nothing: without that end. A NULL, which only SQL puts into a row, lies in no interval
/// that has an end.
struct time_interval {
    std::optional<timestamp> from{};  ///< the first moment in it
    std::optional<timestamp> until{}; ///< the first moment after it; not before `from`

    friend bool operator==(const time_interval&, const time_interval&) = default;
};

/// The order of what `find` gives; ties by agent_id and session_id in the same direction (by bytes). Rows whose time is NULL
/// are the first in descending order and the last in ascending order.
enum class find_order {
    updated_descending, ///< the most recently saved first
    updated_ascending,  ///< the least recently saved first
    created_descending, ///< the youngest first
    created_ascending,  ///< the oldest first
};

/// What `find` looks for: the states for which everything holds that is set.
struct state_query {
    /// Of this agent only; empty: of every agent.
    std::string agent_id;
    /// A part of the stored document, as jsonb's operator `@>` takes it: `{"data": {"user": 7}}`. Objects contain their
    /// members in any depth, arrays their elements in any order; numbers compare as numbers. Empty: any document.
    boost::json::object contains;
    /// An SQL/JSON path that is a predicate, as jsonb's operator `@@` takes it: `$.data.score > 0.5`,
    /// `exists($.history[*] ? (@.role == "tool"))`. States for which it is false, unknown or no predicate are not
    /// found. A memory_store refuses it. Empty: any document. (PostgreSQL manual, "The SQL/JSON Path Language")
    ///
    /// A history in rows (schema_config::history) is not part of the document: use `message_jsonpath`, which finds both kinds.
    std::string jsonpath;
    /// The same, evaluated on each message: `$.role == "tool"`. A state is found if the path is true for one of its messages,
    /// wherever its history is. A memory_store refuses it. Empty: any history.
    std::string message_jsonpath;
    time_interval updated{};                           ///< of the last save
    time_interval created{};                           ///< of the first save
    find_order order = find_order::updated_descending; ///< what the pages are ordered by

    state_query() = default;
};

/// What `find` does with a state that it cannot read: one for which `load` fails with errc::corrupt_state.
enum class on_unreadable {
    fail, ///< fails with that error, which names the state
    skip, ///< leaves it out of `state_page::states`, and names it in `state_page::unreadable`
};

/// Of find: which page, how long, and with what.
struct find_options {
    /// States on a page, 1 to max_limit.
    std::size_t limit = 100;
    /// `state_page::next` of the page before; empty for the first.
    std::string after;
    /// False: without what is in the documents; data, history, context and extra are left empty.
    bool documents = true;
    /// The part of their histories, as in load_options; without `documents` it is not looked at.
    history_window history{};
    on_unreadable unreadable = on_unreadable::fail; ///< nothing is unreadable in a memory_store
    std::chrono::milliseconds timeout{0};           ///< as in call_options
    span_context parent{};                          ///< as in call_options

    static constexpr std::size_t max_limit = 1'000; ///< the largest page

    find_options() = default;
    /// For an expression with co_await.
    explicit find_options(std::size_t limit_, std::string after_ = {},
                          std::chrono::milliseconds timeout_ = {})
        : limit(limit_), after(std::move(after_)), timeout(timeout_) {}
};

/// What a transaction sees of others. (PostgreSQL manual, "Transaction Isolation")
enum class isolation_level {
    read_committed,  ///< each statement sees what was committed before it
    repeatable_read, ///< all statements see what was committed before the first
    serializable,    ///< as if transactions ran one after the other; those for which that fails are repeated
};

/// Of transaction.
struct transaction_options {
    isolation_level isolation = isolation_level::read_committed; ///< of all its statements
    /// How often the function is called again after a serialization failure or a deadlock (40001, 40P01).
    int max_retries = 10;
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of update.
struct update_options {
    /// How often the state is loaded again and the function called again after a conflict.
    int max_retries = 10;
    /// Give the function a new state where there is none. Otherwise that is errc::not_found.
    bool create = false;
    /// As in save_options: without one the state keeps its expiry, and one that is created gets `config.default_ttl`.
    std::optional<std::chrono::milliseconds> ttl{};
    /// For all of it, pauses included: each load and save gets what is left, and never more than
    /// `config.operation_timeout`. 0: no limit but that.
    std::chrono::milliseconds timeout{0};
    span_context parent{}; ///< as in call_options
};

/// Of save_all.
struct save_all_options {
    /// All states are saved in one transaction, or none is.
    bool atomic = false;
    /// As in save_options, for each of them.
    bool if_unchanged = false;
    /// As in save_options, for each of them.
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// What a state is known by: one of the keys that `load_all` and `erase_all` take.
struct state_key {
    std::string agent_id;   ///< as in agent_state
    std::string session_id; ///< as in agent_state

    state_key() = default;
    /// Both as in agent_state; nothing is checked before an operation is given the key.
    state_key(std::string agent, std::string session)
        : agent_id(std::move(agent)), session_id(std::move(session)) {}

    friend auto operator<=>(const state_key&, const state_key&) = default;
};

/// A finished write.
struct saved {
    std::int64_t version = 0;              ///< that the state has now
    timestamp created_at{};                ///< when the state was first saved, by the server's clock
    timestamp updated_at{};                ///< when it was last saved or changed, likewise
    std::optional<timestamp> expires_at{}; ///< nothing: never
    /// False: an append found each of its messages in the history already, by their ids, and changed nothing. The rest is of the
    /// state as it is.
    bool applied = true;
    history_mark mark{}; ///< opaque: of what was saved, for apply_to

    /// Puts the version and the times into `state`, the one that was saved, so that the next save with `if_unchanged` is
    /// based on this one, and so is the next save of a state that was loaded in part. Messages without a time get the one that
    /// they were stored with. A store never writes into a caller's state by itself.
    /// \code
    ///     (co_await store.save(state)).apply_to(state);
    /// \endcode
    PGSTATE_API void apply_to(agent_state& state) const;

    friend bool operator==(const saved&, const saved&) = default;
};

namespace detail {

/// A message in braces: a role, a text and a time, or an agent_message.
struct listed_message {
    listed_message() = default;
    listed_message(std::string_view role_, std::string_view content_, timestamp when_ = {})
        : role(role_), content(content_), when(when_), there(true) {}
    listed_message(const agent_message& message) : whole(&message), there(true) {}

    std::string_view role;
    std::string_view content;
    timestamp when{};
    const agent_message* whole = nullptr; ///< not null: it, and none of the above
    bool there = false;                   ///< false: no message
};

} // namespace detail

/// What `append` adds: a vector of messages, one message, or up to eight in braces:
/// \code
///     co_await store.append("agent-1", "session-1", {{"user", "Hello!"}, {"assistant", "Hi."}});
/// \endcode
class message_list {
public:
    // Constructors of fixed length in place of an initializer_list: its array must not be in an expression with co_await for
    // g++ 12 ("array used as initializer"). The others are templates so that braces do not make vectors and messages.

    message_list() = default;
    /// All of a vector.
    template <std::same_as<std::vector<agent_message>> Messages>
    message_list(Messages messages) : messages_(std::move(messages)) {}
    /// One message.
    template <std::same_as<agent_message> Message>
    message_list(Message message) {
        messages_.push_back(std::move(message));
    }
    /// Messages in braces: each an agent_message, or its role, its text and, if it has one, its time.
    message_list(detail::listed_message first, detail::listed_message second = {},
                 detail::listed_message third = {}, detail::listed_message fourth = {},
                 detail::listed_message fifth = {}, detail::listed_message sixth = {},
                 detail::listed_message seventh = {}, detail::listed_message eighth = {}) {
        for (const detail::listed_message* each :
             {&first, &second, &third, &fourth, &fifth, &sixth, &seventh, &eighth})
            if (each->whole)
                messages_.push_back(*each->whole);
            else if (each->there)
                messages_.emplace_back(std::string(each->role), std::string(each->content), each->when);
    }

    /// The messages, moved out.
    std::vector<agent_message> take() && { return std::move(messages_); }

private:
    std::vector<agent_message> messages_;
};

/// What `increment` adds: a signed integer of 64 bits at most, or a float or double, none of which can wrap or lose a digit
/// on the way. No characters, no bool.
template <class T>
concept increment_number = std::same_as<T, float> || std::same_as<T, double> ||
    (std::signed_integral<T> && sizeof(T) <= sizeof(std::int64_t) && !std::same_as<T, char> &&
     !std::same_as<T, wchar_t>);

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
    std::string session_id;   ///< as in agent_state
    std::int64_t version = 0; ///< as in agent_state, to erase or change just this one
    timestamp created_at{};   ///< the first save
    timestamp updated_at{};   ///< the last save, by which pages are ordered

    friend bool operator==(const session_info&, const session_info&) = default;
};

/// A page of sessions, most recently updated first, ties in descending order of `session_id` (by bytes).
struct session_page {
    std::vector<session_info> sessions; ///< at most list_options::limit
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
    std::string agent_id;      ///< as in agent_state
    std::int64_t sessions = 0; ///< that have not expired, at least one
    timestamp updated_at{};    ///< the latest of its sessions

    friend bool operator==(const agent_info&, const agent_info&) = default;
};

/// A page of agents in ascending order of `agent_id`: in the database's collation, and by bytes in a memory_store.
struct agent_page {
    std::vector<agent_info> agents; ///< at most list_agents_options::limit
    /// Give it to `list_agents_options::after` for the page that follows; empty at the end. Opaque; valid for as long
    /// as the table lives.
    std::string next;

    auto begin() const noexcept { return agents.begin(); }
    auto end() const noexcept { return agents.end(); }
    std::size_t size() const noexcept { return agents.size(); }
    bool empty() const noexcept { return agents.empty(); }
};

/// A state that `find` could not read.
struct unreadable_state {
    state_key key;      ///< which one
    std::string reason; ///< what `load` says; it quotes nothing of the state's contents
};

/// A page of what `find` found.
struct state_page {
    std::vector<agent_state> states; ///< at most find_options::limit, with those that are unreadable
    /// With on_unreadable::skip: what was left out of this page. All of it can be, and others follow: see `next`.
    std::vector<unreadable_state> unreadable;
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
    /// One statement there and back, the wait for a connection included.
    std::chrono::microseconds round_trip{0};
    int server_version = 0; ///< as PostgreSQL numbers it: 150018 is 15.18; 0 for a memory_store
    bool read_only = false; ///< the server is in recovery or refuses writes by default
    pool_stats pool{};      ///< of the moment; zeros for a memory_store
};

} // namespace pgstate
