#include "codec/validate.hpp"

#include "codec/history.hpp"
#include "detail/utf8.hpp"
#include "pgstate/agent_state.hpp"
#include "pgstate/error.hpp"

#include <string>

namespace pgstate::codec {
namespace {

[[noreturn]] void refuse(std::string_view operation, std::string_view argument, std::string_view reason) {
    throw error(errc::invalid_argument, operation, std::string(argument).append(" ").append(reason));
}

void validate_part(std::string_view part, std::string_view name, std::string_view operation) {
    if (part.empty()) refuse(operation, name, "is empty; every state needs one");
    switch (detail::check_text(part)) {
    case detail::text_fault::none: return;
    case detail::text_fault::nul:
        refuse(operation, name, "holds a NUL character, which PostgreSQL cannot store; remove it");
    case detail::text_fault::not_utf8: refuse(operation, name, "is not valid UTF-8; convert it");
    }
}

/// What the options of all pages have.
template <class Options>
void validate_page(const Options& options, std::string_view operation) {
    validate_timeout(options.timeout, operation);
    if (options.limit < 1 || options.limit > Options::max_limit)
        refuse(operation, "limit",
               "is " + std::to_string(options.limit) + "; it can be 1 to " +
                   std::to_string(Options::max_limit));
}

} // namespace

namespace {

void validate_key_as(std::string_view agent_id, std::string_view session_id, std::string_view session_name,
                     std::string_view operation) {
    validate_part(agent_id, "agent_id", operation);
    validate_part(session_id, session_name, operation);
    if (agent_id.size() + session_id.size() > max_key_bytes)
        refuse(operation, std::string("agent_id and ").append(session_name),
               "are together " + std::to_string(agent_id.size() + session_id.size()) +
                   " bytes long; at most " + std::to_string(max_key_bytes) + " fit into the primary key");
}

} // namespace

void validate_key(std::string_view agent_id, std::string_view session_id, std::string_view operation) {
    validate_key_as(agent_id, session_id, "session_id", operation);
}

void validate_new_session(std::string_view agent_id, std::string_view new_session_id,
                          std::string_view operation) {
    validate_key_as(agent_id, new_session_id, "new_session_id", operation);
}

void validate_agent(std::string_view agent_id, std::string_view operation) {
    validate_part(agent_id, "agent_id", operation);
    if (agent_id.size() > max_key_bytes)
        refuse(operation, "agent_id",
               "is " + std::to_string(agent_id.size()) + " bytes long; at most " +
                   std::to_string(max_key_bytes) + " fit into the primary key");
}

void validate_timeout(std::chrono::milliseconds timeout, std::string_view operation) {
    if (timeout.count() < 0) refuse(operation, "timeout", "is negative; 0 means config.operation_timeout");
}

void validate_window(const history_window& window, std::string_view operation) {
    if (numbers_of(window).most == 0)
        refuse(operation, "history", "is a window of 0 messages; history_window::none loads none of them");
}

void validate_load(const load_options& options) {
    validate_window(options.history, "load");
    if (options.at && options.history != history_window::all)
        refuse("load", "at and history",
               "are both set; an earlier version is loaded with all of its history");
}

void validate_ttl(std::optional<std::chrono::milliseconds> ttl, std::string_view operation) {
    if (ttl && (ttl->count() < 1 || *ttl > max_ttl))
        refuse(operation, "ttl",
               "is " + std::to_string(ttl->count()) +
                   " ms; it can be 1 ms to 36,525 days, and is left out for a state that does not expire");
}

void validate_change(const change_options& options, std::string_view operation) {
    validate_ttl(options.ttl, operation);
    if (options.create && options.if_version)
        refuse(operation, "create and if_version", "are both set; a state at a version need not be made");
}

void validate_list(const list_options& options) {
    validate_page(options, "list");
}

void validate_list_agents(const list_agents_options& options) {
    validate_page(options, "list_agents");
}

void validate_find(const find_options& options) {
    validate_page(options, "find");
    if (options.documents) validate_window(options.history, "find");
}

void validate_messages(const messages_options& options) {
    validate_page(options, "messages");
    if (options.from && options.before)
        refuse("messages", "from and before",
               "are both set; the limit says where the other end of the page is");
}

void validate_label(std::string_view label) {
    if (label.size() > max_label_bytes)
        refuse("checkpoint", "label",
               "is " + std::to_string(label.size()) + " bytes long; it can be " +
                   std::to_string(max_label_bytes));
    if (!label.empty()) validate_part(label, "label", "checkpoint");
}

void validate_checkpoints(const list_options& options) {
    validate_page(options, "checkpoints");
}

void validate_prune(const prune_options& options) {
    if (options.older_than.count() < 0) refuse("prune", "older_than", "is negative; 0 means any age");
}

void validate_transaction(const transaction_options& options) {
    validate_timeout(options.timeout, "transaction");
    if (options.max_retries < 0)
        refuse("transaction", "max_retries", "is negative; 0 means that nothing is retried");
}

void validate_update(const update_options& options) {
    validate_timeout(options.timeout, "update");
    validate_ttl(options.ttl, "update");
    if (options.max_retries < 0)
        refuse("update", "max_retries", "is negative; 0 means that nothing is retried");
}

} // namespace pgstate::codec
