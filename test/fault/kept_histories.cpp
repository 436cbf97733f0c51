#include "fault/kept_histories.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace pgstate_test {

void kept_histories::add(history::write_id id, std::vector<history::write_id> messages) {
    messages_.emplace(id, std::move(messages));
}

std::optional<history::violation> kept_histories::take(history::observation& seen, std::size_t kept) const {
    const auto at = messages_.find(seen.saved);
    const auto saved = at == messages_.end() ? std::vector<history::write_id>() : at->second;
    const auto there = std::min(kept, seen.appended.size());
    const auto end = seen.appended.begin() + static_cast<std::ptrdiff_t>(there);
    const std::vector<history::write_id> loaded(seen.appended.begin(), end);
    seen.appended.erase(seen.appended.begin(), end);
    if (kept == saved.size() && loaded == saved) return std::nullopt;

    using enum history::violation::sort;
    const std::set<history::write_id> different(loaded.begin(), loaded.end());
    const auto missing = std::ranges::find_if(saved, [&](auto id) { return !different.contains(id); });
    const auto text = "key " + seen.key + ": version " + std::to_string(seen.version) + ", of save #" +
                      std::to_string(seen.saved) + " with " + std::to_string(saved.size()) +
                      " messages, says that these were " + std::to_string(kept) + " and has " +
                      std::to_string(loaded.size()) + " of them";
    if (missing != saved.end())
        return history::violation{lost, text + "; #" + std::to_string(*missing) + " is not there", seen.key};
    return history::violation{different.size() < loaded.size() ? doubled : phantom, text, seen.key};
}

void kept_histories::add(part what) {
    parts_.push_back(std::move(what));
}

void kept_histories::add(const history::write& what) {
    if (what.what == history::kind::append && what.told == history::outcome::acknowledged)
        appends_[what.key].emplace(what.version, what);
}

// A save of a part that was acknowledged met the history that was loaded: its life went on from the load to the save. What an
// append began after the load did in this life or in a later one, and versions grow in a life.
std::vector<history::violation> kept_histories::check() const {
    std::vector<history::violation> found;
    for (const auto& each : parts_) {
        const auto of_key = appends_.find(each.key);
        if (of_key == appends_.end()) continue;
        const auto end = of_key->second.lower_bound(each.version);
        for (auto at = of_key->second.upper_bound(each.loaded); at != end; ++at)
            if (at->second.invoked >= each.loaded_completed)
                found.push_back({history::violation::sort::lost,
                                 "key " + each.key + ": append #" + std::to_string(at->second.id) +
                                     " (version " + std::to_string(at->first) + ") came before save #" +
                                     std::to_string(each.id) + " (version " + std::to_string(each.version) +
                                     ") of a part of version " + std::to_string(each.loaded),
                                 each.key});
    }
    return found;
}

} // namespace pgstate_test
