#include "store/operations.hpp"

#include "store/codec.hpp"
#include "store/statements.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace pgstate::store {
namespace {

std::optional<timestamp> expiry_in(const wire::rows& rows, int row, int column) {
    if (rows.is_null(row, column)) return std::nullopt;
    return rows.timestamptz(row, column);
}

/// The number of rows that a plan expects, as EXPLAIN (FORMAT JSON) writes it.
std::int64_t estimate_in(std::string_view plan) {
    boost::system::error_code failed;
    const auto parsed = boost::json::parse(plan, failed);
    const auto* rows = failed ? nullptr : parsed.find_pointer("/0/Plan/Plan Rows", failed);
    if (!rows || !rows->is_number())
        throw error(errc::corrupt_state, "count", "the server's plan has no estimate of its rows");
    return rows->is_double() ? static_cast<std::int64_t>(rows->as_double()) : rows->to_number<std::int64_t>();
}

saved saved_in(const wire::rows& rows, int row, bool with_expiry) {
    return {rows.int8(row, saved_row::version), rows.timestamptz(row, saved_row::created_at),
            rows.timestamptz(row, saved_row::updated_at),
            with_expiry ? expiry_in(rows, row, saved_row::expires_at) : std::nullopt};
}

} // namespace

save_operation::save_operation(detail::encoded_state state, bool if_unchanged, std::chrono::milliseconds ttl,
                               handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), state_(std::move(state)), ttl_(ttl) {
    id = telemetry::operation_id::save;
    what = !if_unchanged         ? batch::kind::save
           : state_.version == 0 ? batch::kind::create
                                 : batch::kind::replace;
    conditional = if_unchanged;
    agent_id = state_.agent_id;
    session_id = state_.session_id;
    key_hash = batch::hash_key(agent_id, session_id);
    bytes = state_.agent_id.size() + state_.session_id.size() + state_.document.size();
}

/// What was to be made met a state that is gone by now.
bool save_operation::once_more(const wire::rows&, int row) {
    return row < 0 && state_.version == 0;
}

saved save_operation::decode() {
    if (what == batch::kind::probe)
        throw conflict("save", state_.version, row() < 0 ? 0 : rows().int8(row(), probed_row::version));
    if (row() < 0) throw error(errc::corrupt_state, "save", "the server did not say what it saved");
    return saved_in(rows(), row(), ttl_.count() != 0);
}

change_operation::change_operation(telemetry::operation_id which, std::string agent, std::string session,
                                   encoded_change change, change_terms terms, handler_type handler,
                                   const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), agent_(std::move(agent)), session_(std::move(session)),
      change_(std::move(change)), terms_(terms) {
    id = which;
    what = batch::kind::change;
    alone = true;
    // An increment finds no row either where there is no place for the number.
    conditional = terms_.if_version || which == telemetry::operation_id::increment;
    agent_id = agent_;
    session_id = session_;
    key_hash = batch::hash_key(agent_id, session_id);
    wire::parameters values; // only to know how large they are
    add_to(values);
    bytes = values.bytes();
}

void change_operation::add_to(wire::parameters& values) const {
    struct adder {
        wire::parameters& to;
        void operator()(const json_text& json) const { to.add_jsonb_in_place(json.text); }
        void operator()(const std::string& text) const { to.add_text(text); }
        void operator()(const std::vector<std::string>& texts) const {
            to.begin_text_array(texts.size());
            for (const auto& each : texts)
                to.element_text(each);
        }
    };
    values.add_text(agent_);
    values.add_text(session_);
    if (form() == change_form::touch) return values.add_int8(terms_.ttl.count());
    if (may_make_a_row(form()))
        values.add_int8(terms_.created_ttl.count());
    else if (terms_.if_version)
        values.add_int8(*terms_.if_version);
    else
        values.add_null();
    values.add_int8(terms_.ttl.count());
    for (const auto& each : change_.parameters)
        std::visit(adder{values}, each);
}

/// An increment finds no row where there is none, and where there is no place for the number. Where the probe then finds a
/// version that is new to it, it may have been the former.
bool change_operation::once_more(const wire::rows& rows, int row) {
    if (terms_.if_version || row < 0) return false;
    return std::exchange(probed_version_, rows.int8(row, probed_row::version)) !=
           rows.int8(row, probed_row::version);
}

saved change_operation::decode() {
    if (what == batch::kind::probe) {
        if (row() < 0) throw not_found(name());
        const auto current = rows().int8(row(), probed_row::version);
        if (terms_.if_version && (*terms_.if_version != current || id != telemetry::operation_id::increment))
            throw conflict(name(), *terms_.if_version, current);
        throw not_incremented("the sum would not fit into 64 bits, or an object on the way to it is missing");
    }
    if (row() < 0) throw not_found(name());
    return saved_in(rows(), row(), true);
}

error change_operation::explain(error failure) const {
    if (id != telemetry::operation_id::increment) return failure;
    // The casts' refusals: invalid_parameter_value and numeric_value_out_of_range.
    if (failure.sqlstate() == "22023") return not_incremented("there is something else than a number");
    if (failure.sqlstate() == "22003") return not_incremented("the sum would not fit into a double");
    return failure;
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
        rows().timestamptz(row(), loaded_row::created_at), rows().timestamptz(row(), loaded_row::updated_at),
        expiry_in(rows(), row(), loaded_row::expires_at));
}

erase_operation::erase_operation(std::string agent, std::string session,
                                 std::optional<std::int64_t> if_version, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), agent_(std::move(agent)), session_(std::move(session)),
      if_version_(if_version) {
    id = telemetry::operation_id::erase;
    what = if_version_ ? batch::kind::erase_version : batch::kind::erase;
    alone = conditional = if_version_.has_value();
    agent_id = agent_;
    session_id = session_;
    key_hash = batch::hash_key(agent_id, session_id);
    bytes = agent_.size() + session_.size();
}

bool erase_operation::decode() {
    if (what != batch::kind::probe) return row() >= 0;
    if (row() < 0) return false;
    throw conflict("erase", version(), rows().int8(row(), probed_row::version));
}

list_operation::list_operation(std::string agent, std::size_t limit, std::optional<page_position> after,
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
                                  {page.sessions.back().updated_at, {}, page.sessions.back().session_id});
    return page;
}

list_agents_operation::list_agents_operation(std::size_t limit, std::optional<page_position> after,
                                             handler_type handler,
                                             const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), limit_(limit), after_(std::move(after)) {
    id = telemetry::operation_id::list_agents;
    what = batch::kind::list_agents;
}

agent_page list_agents_operation::decode() {
    agent_page page;
    const auto there = static_cast<std::size_t>(rows().size());
    const auto shown = std::min(there, limit_);
    page.agents.reserve(shown);
    for (std::size_t i = 0; i < shown; ++i) {
        const int at = static_cast<int>(i);
        page.agents.push_back({std::string(rows().text(at, listed_agent_row::agent_id)),
                               rows().int8(at, listed_agent_row::sessions),
                               rows().timestamptz(at, listed_agent_row::updated_at)});
    }
    if (there > shown)
        page.next = encode_cursor(query_kind::list_agents, {}, {{}, page.agents.back().agent_id, {}});
    return page;
}

find_operation::find_operation(encoded_query query, const sql_text& sql, bool by_index, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), query_(std::move(query)),
      search_(make_search(sql, query_, by_index)) {
    id = telemetry::operation_id::find;
    what = batch::kind::find;
    agent_id = query_.agent_id;
    key_hash = batch::hash_key(agent_id, {});
    bytes = search_.values.bytes();
}

state_page find_operation::decode() {
    state_page page;
    const auto there = static_cast<std::size_t>(rows().size());
    const auto shown = std::min(there, query_.limit);
    page.states.reserve(shown);
    for (std::size_t i = 0; i < shown; ++i) {
        const int at = static_cast<int>(i);
        const auto created_at = rows().timestamptz(at, found_row::created_at);
        const auto updated_at = rows().timestamptz(at, found_row::updated_at);
        page.states.push_back(
            found_state(query_, rows().text(at, found_row::agent_id), rows().text(at, found_row::session_id),
                        query_.documents ? rows().jsonb(at, found_row::state) : std::string_view(),
                        {rows().int8(at, found_row::version), created_at, updated_at,
                         expiry_in(rows(), at, found_row::expires_at)}));
    }
    if (there > shown) page.next = cursor_behind(query_, page.states.back());
    return page;
}

error find_operation::explain(error failure) const {
    if (query_.jsonpath.empty()) return failure;
    if (auto refused = refused_jsonpath(query_.jsonpath, failure.sqlstate())) return *std::move(refused);
    return failure;
}

count_operation::count_operation(std::optional<std::string> agent, bool estimate, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), agent_(std::move(agent)) {
    id = telemetry::operation_id::count;
    what = estimate ? batch::kind::estimate : agent_ ? batch::kind::count_agent : batch::kind::count_all;
    if (agent_) agent_id = *agent_;
    key_hash = batch::hash_key(agent_id, {});
}

std::int64_t count_operation::decode() {
    if (what != batch::kind::estimate) return rows().int8(0, 0);
    return estimate_in(rows().text(0, 0));
}

sweep_operation::sweep_operation(std::size_t most, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(std::move(handler), io), most_(most) {
    id = telemetry::operation_id::sweep;
    what = batch::kind::sweep;
}

swept sweep_operation::decode() {
    return {rows().int8(0, swept_row::rows), rows().boolean(0, swept_row::claimed)};
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
