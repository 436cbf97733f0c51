#pragma once

#include "pgstate/checkpoint.hpp"
#include "pgstate/history_window.hpp"
#include "pgstate/message_page.hpp"
#include "pgstate/operations.hpp"

#include <chrono>
#include <optional>
#include <string_view>

namespace pgstate::codec {

// Each throws error invalid_argument, naming the operation and the argument but never its contents.

/// Both parts of a key: not empty, UTF-8 without NUL, together at most max_key_bytes.
void validate_key(std::string_view agent_id, std::string_view session_id, std::string_view operation);

/// The key of a session that is to be made of another one of the agent; errors name new_session_id.
void validate_new_session(std::string_view agent_id, std::string_view new_session_id,
                          std::string_view operation);

/// An agent's id by itself: as in a key.
void validate_agent(std::string_view agent_id, std::string_view operation);

/// A time-out of an operation's options: not negative.
void validate_timeout(std::chrono::milliseconds timeout, std::string_view operation);

/// A window of a history: not of 0 messages.
void validate_window(const history_window& window, std::string_view operation);
/// The window, and that a checkpoint is not to be loaded in part.
void validate_load(const load_options& options);

/// A time to live: 1 ms to max_ttl.
void validate_ttl(std::optional<std::chrono::milliseconds> ttl, std::string_view operation);

/// The ttl, and that a state is not both to be at a version and to be made.
void validate_change(const change_options& options, std::string_view operation);

/// The limit and the time-out; the cursor is for decode_cursor.
void validate_list(const list_options& options);
void validate_list_agents(const list_agents_options& options);
void validate_find(const find_options& options);
/// The same, and that not both ends of the page are given.
void validate_messages(const messages_options& options);

/// Text without NUL, at most max_label_bytes.
void validate_label(std::string_view label);
void validate_checkpoints(const list_options& options);
/// The age and what is kept.
void validate_prune(const prune_options& options);

/// The time-out and the retries: not negative.
void validate_transaction(const transaction_options& options);
void validate_update(const update_options& options);

} // namespace pgstate::codec
