#pragma once

#include "codec/query.hpp"
#include "pgstate/checkpoint.hpp"
#include "pgstate/config.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/detail/state_change.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::memory {

/// One row of a memory_store: the document as text, so that nothing is shared with what was saved.
struct memory_row {
    std::string document;
    std::int64_t version = 0;
    timestamp created_at{};
    timestamp updated_at{};
    std::optional<timestamp> expires_at{}; ///< nothing: never
    std::int64_t born = 0; ///< the version that it was made with: tells the lives of a key apart

    saved as_saved() const { return {version, created_at, updated_at, expires_at}; }
};

/// What a checkpoint keeps.
struct memory_checkpoint {
    checkpoint_info info;
    std::string document;
    timestamp updated_at{}; ///< of the state
};

/// The table behind a memory_store, with the rules of the PostgreSQL table and none of its I/O. Not thread-safe.
class table {
public:
    using key = std::pair<std::string, std::string>; ///< agent, session
    /// What a transaction wrote; nothing: erased.
    using changes = std::map<key, std::optional<memory_row>>;

    /// \param default_ttl  of states saved without one; 0: none
    table(std::function<timestamp()> now, std::chrono::milliseconds default_ttl, history_config history = {})
        : now_(std::move(now)), default_ttl_(default_ttl), history_(history) {}

    /// Null where there is none, or one that has expired.
    const memory_row* find(const key& k) const;

    /// The row that saving `state` over `current` (null: none) makes. It gets the next version whether it is put into
    /// the table or not. Errors: conflict - `options.if_unchanged` and another version is there
    result<memory_row> next_row(const memory_row* current, const detail::encoded_state& state,
                                save_options options);

    /// The row with `change` made, put into the table.
    /// Errors: not_found, conflict - as the operation; nothing is changed
    /// \throws error invalid_argument - likewise
    result<saved> change(const key& k, const detail::state_change& change, const change_options& options);
    /// Errors: not_found
    result<saved> touch(const key& k, std::optional<std::chrono::milliseconds> ttl);

    /// Errors: not_found
    result<checkpoint_info> checkpoint(const key& k, std::string label);
    /// \param before  only older versions; nothing: all
    checkpoint_page checkpoints(const key& k, std::size_t limit, std::optional<std::int64_t> before) const;
    /// The row as it was at `version`; nothing: there is none now. Errors: not_found - no such checkpoint
    result<std::optional<memory_row>> at(const key& k, std::int64_t version,
                                         std::string_view operation) const;
    /// Errors: not_found, conflict - as the operations; nothing is changed
    result<saved> restore(const key& k, std::int64_t version, const restore_options& options);
    result<saved> fork(const key& k, const std::string& new_session, const fork_options& options);
    std::int64_t prune(const key& k, const prune_options& options);

    void put(const key& k, memory_row row);
    /// The same of a save, which may make a checkpoint: config::history.
    void put_saved(const key& k, memory_row row);
    /// True if there was one that had not expired.
    bool erase(const key& k);
    void apply(changes&& written);

    std::size_t rows() const; ///< with those that have expired and are still there

    agent_page list_agents(const list_agents_options& options) const;
    /// \throws error invalid_argument - of a jsonpath that is not evaluated here
    state_page search(const codec::encoded_query& query) const;
    session_page list(const std::string& agent_id, const list_options& options) const;
    std::int64_t count(const std::optional<std::string>& agent_id) const;

private:
    using sessions = std::map<std::string, memory_row, std::less<>>;
    using kept_versions = std::map<std::int64_t, memory_checkpoint, std::greater<>>; ///< the newest first

    bool expired(const memory_row& row) const { return row.expires_at && *row.expires_at <= now_(); }
    void drop_expired();
    void look_at_next(timestamp now);
    memory_row made(const memory_row* current, std::string document);
    /// \param kept  the row whose expiry stays where there is no ttl; null: none
    void set_expiry(memory_row& row, const memory_row* kept,
                    std::optional<std::chrono::milliseconds> ttl) const;

    std::function<timestamp()> now_;
    std::chrono::milliseconds default_ttl_;
    history_config history_;
    std::map<std::string, sessions, std::less<>> agents_; ///< none without sessions
    std::map<key, kept_versions> kept_;                   ///< of rows that are there
    key looked_at_;                                       ///< the last one; empty: begin anew
    std::int64_t last_version_ = 0; ///< of all keys: one that is erased and made again sees no version twice
};

} // namespace pgstate::memory
