#include "memory/table.hpp"

#include "codec/change.hpp"
#include "codec/codec.hpp"
#include "codec/history.hpp"
#include "memory/containment.hpp"
#include "pgstate/error.hpp"
#include "telemetry/names.hpp"

#include <boost/json/value.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <tuple>
#include <vector>

namespace pgstate::memory {
namespace {

bool within(timestamp when, const time_interval& interval) {
    return (!interval.from || *interval.from <= when) && (!interval.until || when < *interval.until);
}

} // namespace

const memory_row* table::find(const key& k) const {
    const auto agent = agents_.find(k.first);
    if (agent == agents_.end()) return nullptr;
    const auto session = agent->second.find(k.second);
    return session == agent->second.end() || expired(session->second) ? nullptr : &session->second;
}

result<memory_row> table::next_row(const memory_row* current, const detail::encoded_state& state,
                                   save_options options) {
    const std::int64_t version = current ? current->version : 0;
    auto document = state.document;
    if (state.stored_messages != 0) {
        auto whole = current ? codec::decode(state.agent_id, state.session_id, current->document, version,
                                             current->created_at, current->updated_at)
                             : agent_state();
        auto known = std::move(whole.history);
        if (const auto why = codec::conflict_with(state, options.if_unchanged, version, known.size()))
            return *why;
        whole = codec::decode(state.agent_id, state.session_id, document, state.version, current->created_at,
                              current->updated_at);
        whole.history.insert(whole.history.begin(), std::make_move_iterator(known.begin()),
                             std::make_move_iterator(known.end()));
        document = codec::encode(whole);
    } else if (options.if_unchanged && version != state.version) {
        return codec::conflict("save", state.version, version);
    }
    memory_row row = made(current, std::move(document));
    set_expiry(row, state.version != 0 ? current : nullptr, options.ttl);
    return row;
}

result<saved> table::change(const key& k, const detail::state_change& change, const change_options& options) {
    const auto operation = telemetry::name_of(codec::operation_of(change));
    const memory_row* current = find(k);
    if (!current && !options.create) return codec::not_found(operation);
    if (options.if_version && current->version != *options.if_version)
        return codec::conflict(operation, *options.if_version, current->version);
    auto state = current ? codec::decode(k.first, k.second, current->document, current->version,
                                         current->created_at, current->updated_at)
                         : codec::made_by(change, k.first, k.second);
    if (current && !codec::apply(change, state)) {
        auto unchanged = current->as_saved();
        unchanged.applied = false;
        return unchanged;
    }
    memory_row row = made(current, codec::encode(state, operation));
    set_expiry(row, current, options.ttl);
    const saved made = row.as_saved();
    put(k, std::move(row));
    return made;
}

result<saved> table::touch(const key& k, std::optional<std::chrono::milliseconds> ttl) {
    if (!find(k)) return codec::not_found("touch");
    auto& row = agents_.find(k.first)->second.find(k.second)->second;
    row.expires_at = ttl ? std::optional(now_() + *ttl) : std::nullopt;
    return row.as_saved();
}

memory_row table::made(const memory_row* current, std::string document) {
    const timestamp now = now_();
    memory_row row;
    row.document = std::move(document);
    row.version = ++last_version_;
    row.created_at = current ? current->created_at : now;
    row.born = current ? current->born : row.version;
    row.updated_at = now;
    return row;
}

void table::set_expiry(memory_row& row, const memory_row* kept,
                       std::optional<std::chrono::milliseconds> ttl) const {
    if (kept && !ttl)
        row.expires_at = kept->expires_at;
    else if (const auto life = ttl.value_or(default_ttl_); life.count() != 0)
        row.expires_at = row.updated_at + life;
}

void table::put(const key& k, memory_row row) {
    drop_expired();
    if (const auto* there = find(k); !there || there->born != row.born) kept_.erase(k); // of an earlier life
    agents_[k.first].insert_or_assign(k.second, std::move(row));
}

bool table::erase(const key& k) {
    const bool seen = find(k) != nullptr;
    kept_.erase(k);
    const auto agent = agents_.find(k.first);
    if (agent == agents_.end() || agent->second.erase(k.second) == 0) return false;
    if (agent->second.empty()) agents_.erase(agent);
    return seen;
}

/// Before each row that is put: a look at the next two, all of them in turn, so that what has expired does not pile up
/// and no operation pays for much of it.
void table::drop_expired() {
    const auto now = now_();
    look_at_next(now);
    look_at_next(now);
}

void table::look_at_next(timestamp now) {
    auto agent = agents_.lower_bound(looked_at_.first);
    auto session = sessions::iterator();
    if (agent != agents_.end()) {
        session = agent->first == looked_at_.first ? agent->second.upper_bound(looked_at_.second)
                                                   : agent->second.begin();
        if (session == agent->second.end() && ++agent != agents_.end()) session = agent->second.begin();
    }
    if (agent == agents_.end()) {
        looked_at_ = {};
        return;
    }
    looked_at_ = {agent->first, session->first};
    if (!session->second.expires_at || *session->second.expires_at > now) return;
    kept_.erase(looked_at_);
    agent->second.erase(session);
    if (agent->second.empty()) agents_.erase(agent);
}

std::size_t table::rows() const {
    std::size_t sum = 0;
    for (const auto& [agent, all] : agents_)
        sum += all.size();
    return sum;
}

void table::apply(changes&& written) {
    for (auto& [k, row] : written) {
        if (row)
            put_saved(k, std::move(*row));
        else
            erase(k);
    }
}

session_page table::list(const std::string& agent_id, const list_options& options) const {
    codec::encoded_query query;
    query.agent_id = agent_id;
    query.limit = options.limit;
    query.documents = false;
    if (!options.after.empty()) {
        query.after = codec::decode_cursor(codec::query_kind::list, agent_id, options.after, "list");
        query.after->agent_id = agent_id;
    }
    const auto found = search(query);
    session_page page;
    for (const auto& state : found)
        page.sessions.push_back({state.session_id, state.version, state.created_at, state.updated_at});
    if (!found.next.empty())
        page.next =
            codec::encode_cursor(codec::query_kind::list, agent_id,
                                 {page.sessions.back().updated_at, {}, page.sessions.back().session_id});
    return page;
}

agent_page table::list_agents(const list_agents_options& options) const {
    auto agent = agents_.begin();
    if (!options.after.empty())
        agent = agents_.upper_bound(
            codec::decode_cursor(codec::query_kind::list_agents, {}, options.after, "list_agents").agent_id);
    agent_page page;
    for (; agent != agents_.end(); ++agent) {
        agent_info info{agent->first, 0, {}};
        for (const auto& [session, row] : agent->second) {
            if (expired(row)) continue;
            ++info.sessions;
            info.updated_at = std::max(info.updated_at, row.updated_at);
        }
        if (info.sessions == 0) continue;
        if (page.size() == options.limit) {
            page.next = codec::encode_cursor(codec::query_kind::list_agents, {},
                                             {{}, page.agents.back().agent_id, {}});
            break;
        }
        page.agents.push_back(std::move(info));
    }
    return page;
}

state_page table::search(const codec::encoded_query& query) const {
    using place = std::tuple<timestamp, std::string_view, std::string_view>;
    struct entry {
        place where;
        const memory_row* row;
    };
    if (!query.jsonpath.empty() || !query.message_jsonpath.empty())
        throw error(
            errc::invalid_argument, "find",
            "a memory_store evaluates no jsonpath, which is PostgreSQL's language; use `contains`, or "
            "a postgres_store on an embedded_server");
    std::optional<boost::json::value> part;
    if (!query.contains.empty()) part = codec::read_value(query.contains);
    const auto matches = [&](const memory_row& row) {
        return within(row.updated_at, query.updated) && within(row.created_at, query.created) &&
               (!part || contains(codec::read_value(row.document), *part));
    };
    const auto comes_first = [&](const place& a, const place& b) {
        return query.descending() ? b < a : a < b;
    };
    std::optional<place> after;
    if (query.after) after.emplace(query.after->time, query.after->agent_id, query.after->session_id);

    std::vector<entry> entries;
    for (const auto& [agent, all] : agents_) {
        if (!query.agent_id.empty() && agent != query.agent_id) continue;
        for (const auto& [session, row] : all) {
            const place where(query.by_created() ? row.created_at : row.updated_at, agent, session);
            if (expired(row) || (after && !comes_first(*after, where)) || !matches(row)) continue;
            entries.push_back({where, &row});
        }
    }
    const std::size_t shown = std::min(query.limit, entries.size());
    std::partial_sort(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(shown), entries.end(),
                      [&](const entry& a, const entry& b) { return comes_first(a.where, b.where); });
    state_page page;
    for (std::size_t i = 0; i < shown; ++i) {
        const auto& [where, row] = entries[i];
        page.states.push_back(codec::found_state(query, std::get<1>(where), std::get<2>(where), row->document,
                                                 row->as_saved()));
        codec::cut(page.states.back(), query.history);
    }
    if (shown < entries.size()) {
        const auto& [time, agent, session] = entries[shown - 1].where;
        page.next = codec::cursor_behind(query, {time, std::string(agent), std::string(session)});
    }
    return page;
}

std::int64_t table::count(const std::optional<std::string>& agent_id) const {
    std::int64_t total = 0;
    for (const auto& [agent, all] : agents_)
        if (!agent_id || agent == *agent_id)
            total += std::ranges::count_if(all, [this](const auto& each) { return !expired(each.second); });
    return total;
}

} // namespace pgstate::memory
