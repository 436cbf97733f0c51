#include "store/memory_table.hpp"

#include "pgstate/error.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <tuple>
#include <vector>

namespace pgstate::store {
namespace {

void check_unchanged(const memory_row* current, std::int64_t expected) {
    const std::int64_t version = current ? current->version : 0;
    if (version == expected) return;
    error conflict(errc::conflict, "save",
                   !current    ? "the state was erased since it was loaded, or never saved"
                   : !expected ? "the state exists already; load it first"
                               : "another writer saved the state first; load it again and retry");
    conflict.with_current_version(version);
    throw conflict;
}

} // namespace

const memory_row* memory_table::find(const key& k) const {
    const auto agent = agents_.find(k.first);
    if (agent == agents_.end()) return nullptr;
    const auto session = agent->second.find(k.second);
    return session == agent->second.end() ? nullptr : &session->second;
}

memory_row memory_table::next_row(const memory_row* current, const detail::encoded_state& state,
                                  save_options options) {
    if (options.if_unchanged) check_unchanged(current, state.version);
    const timestamp now = now_();
    memory_row row;
    row.document = state.document;
    row.version = last_version_ = std::max(last_version_ + 1, std::int64_t{now.time_since_epoch().count()});
    row.created_at = current ? current->created_at : now;
    row.updated_at = now;
    return row;
}

void memory_table::put(const key& k, memory_row row) {
    agents_[k.first].insert_or_assign(k.second, std::move(row));
}

bool memory_table::erase(const key& k) {
    const auto agent = agents_.find(k.first);
    if (agent == agents_.end() || agent->second.erase(k.second) == 0) return false;
    if (agent->second.empty()) agents_.erase(agent);
    return true;
}

void memory_table::apply(changes&& written) {
    for (auto& [k, row] : written) {
        if (row)
            put(k, std::move(*row));
        else
            erase(k);
    }
}

session_page memory_table::list(const std::string& agent_id, const list_options& options) const {
    std::optional<list_position> after;
    if (!options.after.empty()) after = decode_cursor(query_kind::list, agent_id, options.after, "list");
    session_page page;
    const auto agent = agents_.find(agent_id);
    if (agent == agents_.end()) return page;

    using entry = std::tuple<timestamp, std::string_view, const memory_row*>;
    const auto newer = [](const entry& a, const entry& b) {
        return std::tie(std::get<0>(b), std::get<1>(b)) < std::tie(std::get<0>(a), std::get<1>(a));
    };
    std::vector<entry> entries;
    for (const auto& [session, row] : agent->second) {
        const std::tuple<timestamp, std::string_view> place(row.updated_at, session);
        if (!after || place < std::tuple<timestamp, std::string_view>(after->updated_at, after->session_id))
            entries.emplace_back(row.updated_at, session, &row);
    }
    const std::size_t shown = std::min(options.limit, entries.size());
    std::partial_sort(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(shown), entries.end(),
                      newer);
    for (std::size_t i = 0; i < shown; ++i) {
        const auto& [updated, session, row] = entries[i];
        page.sessions.push_back({std::string(session), row->version, row->created_at, updated});
    }
    if (shown < entries.size())
        page.next = encode_cursor(query_kind::list, agent_id,
                                  {page.sessions.back().updated_at, page.sessions.back().session_id});
    return page;
}

std::int64_t memory_table::count(const std::optional<std::string>& agent_id) const {
    std::size_t total = 0;
    if (agent_id) {
        const auto agent = agents_.find(*agent_id);
        total = agent == agents_.end() ? 0 : agent->second.size();
    } else {
        for (const auto& [agent, all] : agents_)
            total += all.size();
    }
    return static_cast<std::int64_t>(total);
}

} // namespace pgstate::store
