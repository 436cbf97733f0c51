#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/completion.hpp"
#include "pgstate/detail/default_token.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/tracer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate {

/// The longest label of a checkpoint, in bytes.
inline constexpr std::size_t max_label_bytes = 1024;

/// A checkpoint: a state as it was at one version, without the state itself.
struct checkpoint_info {
    std::int64_t version = 0;  ///< of the state when the checkpoint was made; names the checkpoint
    std::string label;         ///< as it was given, or empty
    timestamp created_at{};    ///< when the checkpoint was made, by the database's clock
    std::int64_t messages = 0; ///< number of messages in its history

    friend bool operator==(const checkpoint_info&, const checkpoint_info&) = default;
};

/// A page of a state's checkpoints, the newest first.
struct checkpoint_page {
    std::vector<checkpoint_info> checkpoints; ///< at most list_options::limit
    /// Give it to `list_options::after` for the page that follows; empty at the end. Opaque, and good only for the same
    /// state; valid until the state is erased or expires.
    std::string next;

    auto begin() const noexcept { return checkpoints.begin(); }
    auto end() const noexcept { return checkpoints.end(); }
    std::size_t size() const noexcept { return checkpoints.size(); }
    bool empty() const noexcept { return checkpoints.empty(); }
};

/// Of checkpoint.
struct checkpoint_options {
    /// What it is for: UTF-8 without NUL, at most max_label_bytes. Copied before the call returns. Empty: the checkpoint
    /// keeps the label that it has.
    std::string_view label{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of restore.
struct restore_options {
    /// Restore only over this version: if the state has another one, the operation fails with errc::conflict and changes nothing.
    std::optional<std::int64_t> if_version{};
    /// How long the state lives from now, 1 ms to max_ttl; nothing: its expiry stays as it is.
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of fork.
struct fork_options {
    /// Which version is copied: that of a checkpoint, or the present one. Nothing: the present one.
    std::optional<std::int64_t> at{};
    /// How long the new state lives from now, 1 ms to max_ttl; nothing: `config.default_ttl`.
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// Of prune: a checkpoint is removed where both allow it.
struct prune_options {
    std::size_t keep = 0; ///< number of the newest checkpoints that stay; 0: none
    /// Checkpoints younger than this stay, by the database's clock. 0: age does not matter; a negative one is refused.
    std::chrono::milliseconds older_than{0};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options
};

/// The operations of state_store on checkpoints: what it says of operations holds for these. A checkpoint survives whatever
/// is saved later, and goes with the state when that is erased or has expired. Where a state is made anew before the one that
/// has expired was swept, the checkpoints of that one are not seen any more, and stay in the table until `prune` or an erase.
/// A postgres_store has them where `config.schema.checkpoints` made the table for them; without it they fail with
/// errc::schema_mismatch.
class checkpoint_operations {
public:
    /// Keeps the state as it is now. Another checkpoint of the same version replaces the label, if one is given.
    ///
    /// Completion: void(std::exception_ptr, checkpoint_info)
    /// Errors:     not_found - there is no such state, or it has expired
    template <detail::token_for<checkpoint_info> Token = default_token>
    auto checkpoint(std::string_view agent_id, std::string_view session_id, checkpoint_options options,
                    Token&& token = Token()) {
        return detail::initiate<checkpoint_info>(token, &checkpoint_operations::do_checkpoint, this,
                                                 std::string(agent_id), std::string(session_id),
                                                 std::string(options.label), call_of(options));
    }
    /// The same with default options.
    template <detail::token_for<checkpoint_info> Token = default_token>
    auto checkpoint(std::string_view agent_id, std::string_view session_id, Token&& token = Token()) {
        return checkpoint(agent_id, session_id, checkpoint_options{}, std::forward<Token>(token));
    }

    /// Lists the checkpoints of a state, a page at a time, the newest first. A state that is not there has none.
    ///
    /// Completion: void(std::exception_ptr, checkpoint_page)
    /// Errors:     invalid_argument - also for a limit out of range and a cursor from another state or altered
    template <detail::token_for<checkpoint_page> Token = default_token>
    auto checkpoints(std::string_view agent_id, std::string_view session_id, list_options options,
                     Token&& token = Token()) {
        return detail::initiate<checkpoint_page>(token, &checkpoint_operations::do_checkpoints, this,
                                                 std::string(agent_id), std::string(session_id),
                                                 std::move(options));
    }
    /// The same with default options.
    template <detail::token_for<checkpoint_page> Token = default_token>
    auto checkpoints(std::string_view agent_id, std::string_view session_id, Token&& token = Token()) {
        return checkpoints(agent_id, session_id, list_options{}, std::forward<Token>(token));
    }

    /// Replaces the state by what it was at `version`, that of a checkpoint or the present one, as a save would: the state gets
    /// a new version, and keeps its checkpoints.
    ///
    /// Completion: void(std::exception_ptr, saved)
    /// Errors:     not_found - there is no such state, or no checkpoint of this version
    ///             conflict - with `if_version`: another version is there. Nothing is changed
    template <detail::token_for<saved> Token = default_token>
    auto restore(std::string_view agent_id, std::string_view session_id, std::int64_t version,
                 restore_options options, Token&& token = Token()) {
        return detail::initiate<saved>(token, &checkpoint_operations::do_restore, this, std::string(agent_id),
                                       std::string(session_id), version, options);
    }
    /// The same with default options.
    template <detail::token_for<saved> Token = default_token>
    auto restore(std::string_view agent_id, std::string_view session_id, std::int64_t version,
                 Token&& token = Token()) {
        return restore(agent_id, session_id, version, restore_options{}, std::forward<Token>(token));
    }

    /// Copies a state, as it is or as it was, to a session of the same agent that must not exist yet; without its
    /// checkpoints. It is ordered among the operations of the new session: await the writes of the copied one first.
    ///
    /// Completion: void(std::exception_ptr, saved), of the new state
    /// Errors:     not_found - there is no such state, or no checkpoint of the version
    ///             conflict - there is a state with the new session's key already; nothing is changed
    template <detail::token_for<saved> Token = default_token>
    auto fork(std::string_view agent_id, std::string_view session_id, std::string_view new_session_id,
              fork_options options, Token&& token = Token()) {
        return detail::initiate<saved>(token, &checkpoint_operations::do_fork, this, std::string(agent_id),
                                       std::string(session_id), std::string(new_session_id), options);
    }
    /// The same with default options.
    template <detail::token_for<saved> Token = default_token>
    auto fork(std::string_view agent_id, std::string_view session_id, std::string_view new_session_id,
              Token&& token = Token()) {
        return fork(agent_id, session_id, new_session_id, fork_options{}, std::forward<Token>(token));
    }

    /// Removes checkpoints of a state, all by default. Completes with the number removed; after a lost connection, with the
    /// number that the last attempt removed. A state that is not there has none.
    ///
    /// Completion: void(std::exception_ptr, std::int64_t)
    /// Errors:     invalid_argument - also for a negative `older_than`
    template <detail::token_for<std::int64_t> Token = default_token>
    auto prune(std::string_view agent_id, std::string_view session_id, prune_options options,
               Token&& token = Token()) {
        return detail::initiate<std::int64_t>(token, &checkpoint_operations::do_prune, this,
                                              std::string(agent_id), std::string(session_id), options);
    }
    /// The same with default options.
    template <detail::token_for<std::int64_t> Token = default_token>
    auto prune(std::string_view agent_id, std::string_view session_id, Token&& token = Token()) {
        return prune(agent_id, session_id, prune_options{}, std::forward<Token>(token));
    }

protected:
    checkpoint_operations() = default;
    checkpoint_operations(checkpoint_operations&&) = default;
    checkpoint_operations& operator=(checkpoint_operations&&) = default;
    ~checkpoint_operations() = default;

private:
    static call_options call_of(const checkpoint_options& options) {
        return {options.timeout, options.parent};
    }

    virtual void do_checkpoint(std::string agent_id, std::string session_id, std::string label, call_options,
                               completion<checkpoint_info>) = 0;
    virtual void do_checkpoints(std::string agent_id, std::string session_id, list_options,
                                completion<checkpoint_page>) = 0;
    virtual void do_restore(std::string agent_id, std::string session_id, std::int64_t version,
                            restore_options, completion<saved>) = 0;
    virtual void do_fork(std::string agent_id, std::string session_id, std::string new_session_id,
                         fork_options, completion<saved>) = 0;
    virtual void do_prune(std::string agent_id, std::string session_id, prune_options,
                          completion<std::int64_t>) = 0;
};

} // namespace pgstate
