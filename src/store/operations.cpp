#include "store/operations.hpp"

#include "store/codec.hpp"
#include "store/statements.hpp"

#include <algorithm>

namespace pgstate::store {

error conflict(std::int64_t wanted, std::int64_t current) {
    const auto now = current == 0 ? std::string("it does not exist any more")
                                  : "it is at version " + std::to_string(current);
    error failure(errc::conflict, "save",
                  wanted == 0 ? "the state was to be new, but " + now + "; load it and decide again"
                              : "the state was to be at version " + std::to_string(wanted) + ", but " + now +
                                    "; load it again and retry");
    return failure.with_current_version(current);
}

save_operation::save_operation(detail::encoded_state state, bool if_unchanged, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), state_(std::move(state)) {
    id = telemetry::operation_id::save;
    what = !if_unchanged         ? batch::kind::save
           : state_.version == 0 ? batch::kind::create
                                 : batch::kind::replace;
    agent_id = state_.agent_id;
    session_id = state_.session_id;
    key_hash = batch::hash_key(agent_id, session_id);
    bytes = state_.agent_id.size() + state_.session_id.size() + state_.document.size();
}

saved save_operation::decode() {
    if (what == batch::kind::probe)
        throw conflict(state_.version, row() < 0 ? 0 : rows().int8(row(), probed_row::version));
    if (row() < 0) throw error(errc::corrupt_state, "save", "the server did not say what it saved");
    return {rows().int8(row(), saved_row::version), rows().timestamptz(row(), saved_row::created_at),
            rows().timestamptz(row(), saved_row::updated_at)};
}

load_operation::load_operation(std::string agent, std::string session, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), agent_(std::move(agent)), session_(std::move(session)) {
    id = telemetry::operation_id::load;
    what = batch::kind::load;
    agent_id = agent_;
    session_id = session_;
    key_hash = batch::hash_key(agent_id, session_id);
    bytes = agent_.size() + session_.size();
}

std::optional<agent_state> load_operation::decode() {
    if (row() < 0) return std::nullopt;
    return store::decode(
        agent_, session_, rows().jsonb(row(), loaded_row::state), rows().int8(row(), loaded_row::version),
        rows().timestamptz(row(), loaded_row::created_at), rows().timestamptz(row(), loaded_row::updated_at));
}

erase_operation::erase_operation(std::string agent, std::string session, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), agent_(std::move(agent)), session_(std::move(session)) {
    id = telemetry::operation_id::erase;
    what = batch::kind::erase;
    agent_id = agent_;
    session_id = session_;
    key_hash = batch::hash_key(agent_id, session_id);
    bytes = agent_.size() + session_.size();
}

list_operation::list_operation(std::string agent, std::size_t limit, std::optional<list_position> after,
                               handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), agent_(std::move(agent)), limit_(limit),
      after_(std::move(after)) {
    id = telemetry::operation_id::list;
    what = batch::kind::list;
    agent_id = agent_;
    key_hash = batch::hash_key(agent_id, {});
    bytes = agent_.size();
}

session_page list_operation::decode() {
    session_page page;
    // One more than asked for was fetched, to know whether there is a next page.
    const auto there = static_cast<std::size_t>(rows().size());
    const auto shown = std::min(there, limit_);
    page.sessions.reserve(shown);
    for (std::size_t i = 0; i < shown; ++i) {
        const int at = static_cast<int>(i);
        page.sessions.push_back(
            {std::string(rows().text(at, listed_row::session_id)), rows().int8(at, listed_row::version),
             rows().timestamptz(at, listed_row::created_at), rows().timestamptz(at, listed_row::updated_at)});
    }
    if (there > shown)
        page.next = encode_cursor(query_kind::list, agent_,
                                  {page.sessions.back().updated_at, page.sessions.back().session_id});
    return page;
}

count_operation::count_operation(std::optional<std::string> agent, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), agent_(std::move(agent)) {
    id = telemetry::operation_id::count;
    what = agent_ ? batch::kind::count_agent : batch::kind::count_all;
    if (agent_) agent_id = *agent_;
    key_hash = batch::hash_key(agent_id, {});
}

health_operation::health_operation(std::shared_ptr<pool::core> pool, handler_type handler,
                                   const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), pool_(std::move(pool)) {
    id = telemetry::operation_id::health_check;
    what = batch::kind::health;
}

health_report health_operation::decode() {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(batch::clock::now() - started_);
    return {took, static_cast<int>(rows().int8(0, health_row::server_version)),
            rows().boolean(0, health_row::read_only), pool_->stats()};
}

} // namespace pgstate::store
