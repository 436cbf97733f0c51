// What a memory_store keeps of earlier versions.

#include "codec/change.hpp"
#include "codec/codec.hpp"
#include "codec/cursor.hpp"
#include "memory/table.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <utility>

namespace pgstate::memory {

result<checkpoint_info> table::checkpoint(const key& k, std::string label) {
    const auto* row = find(k);
    if (!row) return codec::not_found("checkpoint");
    auto [at, is_new] = kept_[k].try_emplace(row->version);
    auto& kept = at->second;
    if (is_new) {
        const auto state = codec::decode(k.first, k.second, row->document, row->version, row->created_at,
                                         row->updated_at, {}, "checkpoint");
        kept = {{row->version, {}, now_(), static_cast<std::int64_t>(state.history.size())},
                row->document,
                row->updated_at};
    }
    if (!label.empty()) kept.info.label = std::move(label);
    return kept.info;
}

void table::put_saved(const key& k, memory_row row) {
    put(k, std::move(row));
    if (!history_.checkpoint_every_save || !checkpoint(k, {})) return;
    std::size_t newer = 0;
    if (history_.keep != 0)
        std::erase_if(kept_[k], [&](const auto& each) {
            return each.second.info.label.empty() && newer++ >= history_.keep;
        });
}

checkpoint_page table::checkpoints(const key& k, std::size_t limit,
                                   std::optional<std::int64_t> before) const {
    checkpoint_page page;
    const auto all = kept_.find(k);
    if (!find(k) || all == kept_.end()) return page;
    auto next = before ? all->second.upper_bound(*before) : all->second.begin();
    for (; next != all->second.end() && page.size() < limit; ++next)
        page.checkpoints.push_back(next->second.info);
    if (next != all->second.end())
        page.next = codec::cursor_of_checkpoint(k.first, k.second, page.checkpoints.back().version);
    return page;
}

result<std::optional<memory_row>> table::at(const key& k, std::int64_t version,
                                            std::string_view operation) const {
    const auto* row = find(k);
    if (!row || row->version == version) return row ? std::optional(*row) : std::nullopt;
    const auto all = kept_.find(k);
    if (all == kept_.end() || !all->second.contains(version)) return codec::no_checkpoint(operation, version);
    const auto& kept = all->second.at(version);
    return std::optional(
        memory_row{kept.document, version, row->created_at, kept.updated_at, row->expires_at});
}

result<saved> table::restore(const key& k, std::int64_t version, const restore_options& options) {
    const auto* current = find(k);
    if (!current) return codec::not_found("restore");
    if (options.if_version && *options.if_version != current->version)
        return codec::conflict("restore", *options.if_version, current->version);
    auto was = at(k, version, "restore");
    if (!was) return was.error();
    memory_row row = made(current, std::move((*was)->document));
    set_expiry(row, current, options.ttl);
    const saved done = row.as_saved();
    put(k, std::move(row));
    return done;
}

result<saved> table::fork(const key& k, const std::string& new_session, const fork_options& options) {
    const key target(k.first, new_session);
    if (const auto* there = find(target)) return codec::conflict("fork", 0, there->version);
    const auto* current = find(k);
    if (!current) return codec::not_found("fork");
    const auto was = at(k, options.at.value_or(current->version), "fork");
    if (!was) return was.error();
    auto state = codec::decode(k.first, k.second, (*was)->document, (*was)->version, (*was)->created_at,
                               (*was)->updated_at, {}, "fork");
    state.session_id = new_session;
    memory_row row = made(nullptr, codec::encode(state, "fork"));
    set_expiry(row, nullptr, options.ttl);
    const saved done = row.as_saved();
    put(target, std::move(row));
    return done;
}

std::int64_t table::prune(const key& k, const prune_options& options) {
    const auto all = kept_.find(k);
    if (!find(k) || all == kept_.end()) return 0;
    const auto latest = now_() - std::min(options.older_than, max_ttl);
    std::size_t newer = 0;
    return static_cast<std::int64_t>(std::erase_if(all->second, [&](const auto& each) {
        return newer++ >= options.keep &&
               (options.older_than.count() == 0 || each.second.info.created_at <= latest);
    }));
}

} // namespace pgstate::memory
