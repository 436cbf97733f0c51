#include "fault/history.hpp"

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>

namespace pgstate_test {
namespace {

const char* history_name(history::kind what) noexcept {
    switch (what) {
    case history::kind::save: return "save";
    case history::kind::append: return "append";
    case history::kind::increment: return "increment";
    case history::kind::merge: return "merge";
    case history::kind::erase: return "erase";
    }
    return "?";
}

std::string history_text(const history::write& what) {
    return std::string(history_name(what.what)) + " #" + std::to_string(what.id) + " (version " +
           std::to_string(what.version) + ")";
}

} // namespace

const char* name_of(history::violation::sort what) noexcept {
    switch (what) {
    case history::violation::sort::lost: return "lost";
    case history::violation::sort::doubled: return "doubled";
    case history::violation::sort::phantom: return "phantom";
    case history::violation::sort::backwards: return "backwards";
    case history::violation::sort::versions: return "versions";
    case history::violation::sort::repeated: return "repeated";
    case history::violation::sort::winners: return "winners";
    }
    return "?";
}

/// The history of one key. What was acknowledged has a version, which was drawn while it was under way. Versions are the
/// order in which the server applied it, but for the save that begins a new life of an erased state: it may have drawn its
/// version and then waited while the old life went on and ended. What is unknown may stand anywhere after its invocation,
/// or nowhere.
class history::checker {
public:
    checker(const std::string& key, const of_key& all, std::vector<violation>& found)
        : key_(key), all_(all), found_(found) {
        for (const auto& each : all.writes) {
            by_id_.emplace(each.id, &each);
            if (each.what == kind::erase) {
                erases_.push_back(&each);
            } else if (each.told == outcome::acknowledged) {
                acknowledged_.push_back(&each);
            } else if (each.told == outcome::unknown) {
                unknown_.push_back(&each);
            }
        }
        std::ranges::sort(acknowledged_, {}, &write::version);
        for (const auto* each : acknowledged_)
            if (each->what == kind::save) saves_.push_back(each);
    }

    void check() {
        check_versions();
        check_conditional_saves();
        check_order_of_times();
        for (const auto& each : all_.observations)
            each.missing ? check_missing(each.invoked, each.completed, "a load found nothing")
                         : check_state(each);
        for (const auto& each : all_.writes)
            if (each.missing && each.told != outcome::unknown)
                check_missing(each.invoked, each.completed,
                              std::string(history_name(each.what)) + " #" + std::to_string(each.id) +
                                  " found nothing");
        check_same_versions();
    }

private:
    using sort = violation::sort;

    void wrong(sort what, const std::string& text) {
        found_.push_back({what, "key " + key_ + ": " + text, key_});
    }

    void check_versions() {
        for (std::size_t i = 0; i < acknowledged_.size(); ++i) {
            if (acknowledged_[i]->version <= 0)
                wrong(sort::versions, history_text(*acknowledged_[i]) + " has none");
            if (i > 0 && acknowledged_[i - 1]->version == acknowledged_[i]->version)
                wrong(sort::repeated,
                      history_text(*acknowledged_[i - 1]) + " and " + history_text(*acknowledged_[i]));
        }
    }

    void check_conditional_saves() {
        std::map<std::int64_t, const write*> winners;
        for (std::size_t i = 0; i < acknowledged_.size(); ++i) {
            const auto& each = *acknowledged_[i];
            if (each.expected == 0) continue;
            const auto [at, first] = winners.emplace(each.expected, &each);
            if (!first)
                wrong(sort::winners, history_text(*at->second) + " and " + history_text(each) +
                                         " both replaced version " + std::to_string(each.expected));
            else if (each.version <= each.expected)
                wrong(sort::winners,
                      history_text(each) + " replaced version " + std::to_string(each.expected));
            else if (const auto between = between_of_its_life(each); !between.empty())
                wrong(sort::winners, history_text(each) + " replaced version " +
                                         std::to_string(each.expected) + ", but " + between + " was between");
        }
    }

    /// What was written or seen between the version that a conditional save replaced and its own, and cannot be of an
    /// earlier or a later life; "" for nothing.
    std::string between_of_its_life(const write& replacement) const {
        const auto base = std::ranges::lower_bound(acknowledged_, replacement.expected, {}, &write::version);
        const bool dated = base != acknowledged_.end() && (*base)->version == replacement.expected;
        const auto there_at = dated ? (*base)->completed : replacement.invoked;
        const auto is_between = [&](std::int64_t version, time_point invoked, time_point completed) {
            return version > replacement.expected && version < replacement.version &&
                   !may_be_of_earlier_life(invoked, there_at) &&
                   !may_be_of_earlier_life(replacement.invoked, completed);
        };
        for (const auto* each : acknowledged_)
            if (is_between(each->version, each->invoked, each->completed)) return history_text(*each);
        for (const auto& each : all_.observations)
            if (!each.missing && is_between(each.version, each.invoked, each.completed))
                return "version " + std::to_string(each.version) + ", which was loaded,";
        return "";
    }

    /// Whether an erase may have come after what began at `invoked`, and before what ended at `completed`.
    bool may_be_of_earlier_life(time_point invoked, time_point completed) const {
        return invoked < completed && std::ranges::any_of(erases_, [&](const write* erase) {
                   if (erase->missing || erase->told == outcome::failed) return false;
                   return erase->invoked < completed &&
                          (erase->told == outcome::unknown || erase->completed > invoked);
               });
    }

    /// What began after something had completed has a greater version, or for a load no smaller one.
    void check_order_of_times() {
        struct known {
            time_point invoked;
            time_point completed;
            std::int64_t version;
            std::int64_t greatest = 0; ///< of those before it, too
        };
        std::vector<known> seen;
        for (const auto* each : acknowledged_)
            seen.push_back({each->invoked, each->completed, each->version});
        for (const auto& each : all_.observations)
            if (!each.missing) seen.push_back({each.invoked, each.completed, each.version});
        std::ranges::sort(seen, {}, &known::completed);
        for (std::size_t i = 0; i < seen.size(); ++i)
            seen[i].greatest = i == 0 ? seen[i].version : std::max(seen[i].version, seen[i - 1].greatest);
        const auto end_at = [&](time_point when) {
            return std::ranges::lower_bound(seen, when, {}, &known::completed);
        };
        const auto known_at = [&](time_point when) -> std::int64_t {
            const auto at = end_at(when);
            return at == seen.begin() ? std::int64_t{0} : std::prev(at)->greatest;
        };
        // The greatest version that was known and is not of an earlier life.
        const auto known_of_its_life = [&](const observation& each) -> std::int64_t {
            if (known_at(each.invoked) <= each.version) return 0;
            const auto base = by_id_.find(each.saved);
            const bool dated = base != by_id_.end() && base->second->told == outcome::acknowledged;
            const auto saved_until = dated ? base->second->completed : each.completed;
            std::int64_t greatest = 0;
            for (auto at = seen.begin(); at != end_at(each.invoked); ++at)
                if (at->version > greatest && !may_be_of_earlier_life(at->invoked, saved_until))
                    greatest = at->version;
            return greatest;
        };
        for (const auto* each : acknowledged_)
            if (const auto before = known_at(each->invoked); each->version > 0 && each->version <= before)
                wrong(sort::versions, history_text(*each) + " came after version " + std::to_string(before));
        for (const auto& each : all_.observations)
            if (const auto before = each.missing ? 0 : known_of_its_life(each); each.version < before)
                wrong(sort::backwards, "version " + std::to_string(each.version) +
                                           " was loaded after version " + std::to_string(before) +
                                           " was known");
    }

    /// Something must have erased what was there before.
    void check_missing(time_point invoked, time_point completed, const std::string& who) {
        const write* last = nullptr;
        for (const auto* each : acknowledged_)
            if (each->completed < invoked && (!last || each->invoked > last->invoked)) last = each;
        if (!last) return;
        const auto explains = [&](const write* erase) {
            if (erase->invoked >= completed || erase->missing) return false;
            return erase->told == outcome::unknown ||
                   (erase->told == outcome::acknowledged && erase->completed > last->invoked);
        };
        if (std::ranges::none_of(erases_, explains))
            wrong(sort::lost, who + ", although " + history_text(*last) + " was there and nothing erased it");
    }

    void check_same_versions() {
        std::map<std::int64_t, const observation*> first;
        for (const auto& each : all_.observations) {
            if (each.missing) continue;
            const auto [at, inserted] = first.emplace(each.version, &each);
            const auto& other = *at->second;
            if (!inserted && (other.saved != each.saved || other.appended != each.appended ||
                              other.counters != each.counters || other.merged != each.merged))
                wrong(sort::repeated, "two states were loaded as version " + std::to_string(each.version));
        }
    }

    /// Whether it can be in what was loaded; if not, says so.
    const write* source(write_id id, kind what, const observation& in) {
        const auto at = by_id_.find(id);
        const auto text = "version " + std::to_string(in.version) + " has " + history_name(what) + " #" +
                          std::to_string(id);
        if (at == by_id_.end() || at->second->what != what) {
            wrong(sort::phantom, text + ", which nobody did here");
            return nullptr;
        }
        const auto& by = *at->second;
        if (by.told == outcome::failed)
            wrong(sort::phantom, text + ", which was reported as failed");
        else if (by.invoked >= in.completed)
            wrong(sort::phantom, text + ", which had not begun");
        else if (by.told == outcome::acknowledged && by.version > in.version)
            wrong(sort::versions, text + ", which made version " + std::to_string(by.version));
        else
            return &by;
        return nullptr;
    }

    /// Between which versions the document was saved that an observation shows: after `low`, and not after `high`; and
    /// before which time.
    struct range {
        std::int64_t low = 0;
        std::int64_t high = 0;
        time_point until{};
    };

    /// Whether a write need not be in the document, although its version is greater: it may have been of an earlier life.
    bool optional(const write& what, const range& saved) const {
        return may_be_of_earlier_life(what.invoked, saved.until);
    }

    void check_state(const observation& seen) {
        const auto* base = source(seen.saved, kind::save, seen);
        if (!base) return;
        range saved{0, seen.version, {}};
        saved.until = base->told == outcome::acknowledged ? base->completed : seen.completed;
        auto after =
            std::ranges::upper_bound(saves_, seen.version, {}, [](const write* w) { return w->version; });
        // A save with a smaller version may also have waited, and begun the life after the one that was seen.
        while (after != saves_.begin() && *std::prev(after) != base &&
               (optional(**std::prev(after), saved) ||
                may_be_of_earlier_life(seen.invoked, (*std::prev(after))->completed)))
            --after;
        const write* last = after == saves_.begin() ? nullptr : *std::prev(after);
        if (base->told == outcome::acknowledged) {
            if (last != base) {
                wrong(sort::lost, history_text(*last) + " is not in version " + std::to_string(seen.version) +
                                      ", which still is of " + history_text(*base));
                return;
            }
            saved.low = saved.high = base->version;
            check_not_erased(seen, *base);
        } else if (last) {
            saved.low = last->version;
        }
        check_appended(seen, saved);
        check_counters(seen, saved);
        check_merged(seen, saved);
    }

    /// A document that was saved before an erase began is not there after it ended.
    void check_not_erased(const observation& seen, const write& base) {
        for (const auto* each : erases_)
            if (each->told == outcome::acknowledged && each->completed < seen.invoked &&
                base.completed < each->invoked)
                wrong(sort::backwards,
                      history_text(base) + " was loaded again after erase #" + std::to_string(each->id));
    }

    /// Those acknowledged with a version in (after, upto].
    template <class Function>
    void each_acknowledged(std::int64_t after, std::int64_t upto, Function function) const {
        auto at =
            std::ranges::upper_bound(acknowledged_, after, {}, [](const write* w) { return w->version; });
        for (; at != acknowledged_.end() && (*at)->version <= upto; ++at)
            function(**at);
    }

    /// Narrows `saved` by what is there and what is not.
    void check_appended(const observation& seen, range& saved) {
        std::set<write_id> there;
        std::int64_t newest = 0;
        for (const auto id : seen.appended) {
            if (!there.insert(id).second) {
                wrong(sort::doubled, "append #" + std::to_string(id) + " is in version " +
                                         std::to_string(seen.version) + " twice");
                continue;
            }
            const auto* by = source(id, kind::append, seen);
            if (!by || by->told != outcome::acknowledged) continue;
            if (by->version <= saved.low)
                wrong(sort::phantom, history_text(*by) + " is in a document that was saved after it");
            if (by->version < newest) wrong(sort::versions, history_text(*by) + " stands behind a later one");
            newest = std::max(newest, by->version);
            saved.high = std::min(saved.high, by->version - 1);
        }
        each_acknowledged(saved.low, seen.version, [&](const write& each) {
            if (each.what != kind::append || there.contains(each.id) || optional(each, saved)) return;
            if (each.version > saved.high)
                wrong(sort::lost, history_text(each) + " is not in version " + std::to_string(seen.version));
            else
                saved.low = std::max(saved.low, each.version);
        });
    }

    /// How many writes of `client` may be in what was loaded without anybody knowing.
    template <class Function>
    void each_unknown(kind what, client_id client, const observation& seen, Function function) const {
        for (const auto* each : unknown_)
            if (each->what == what && each->client == client && each->invoked < seen.completed)
                function(*each);
    }

    void check_counters(const observation& seen, const range& saved) {
        std::map<client_id, std::pair<std::int64_t, std::int64_t>> sums; // at least, at most
        for (const auto& [client, value] : seen.counters)
            sums[client];
        each_acknowledged(saved.low, seen.version, [&](const write& each) {
            if (each.what != kind::increment) return;
            auto& [least, most] = sums[each.client];
            if (each.version > saved.high && !optional(each, saved)) ++least;
            ++most;
        });
        for (auto& [client, bounds] : sums) {
            auto& [least, most] = bounds;
            const auto at = seen.counters.find(client);
            const auto value = at == seen.counters.end() ? 0 : at->second;
            if (value > most) each_unknown(kind::increment, client, seen, [&most](const write&) { ++most; });
            if (value >= least && value <= most) continue;
            wrong(value < least ? sort::lost : sort::doubled,
                  "the counter of client " + std::to_string(client) + " is " + std::to_string(value) +
                      " in version " + std::to_string(seen.version) + ", not " + std::to_string(least) +
                      " to " + std::to_string(most));
        }
    }

    void check_merged(const observation& seen, const range& saved) {
        std::map<client_id, const write*> last;
        each_acknowledged(saved.low, seen.version, [&](const write& each) {
            if (each.what == kind::merge && !optional(each, saved)) last[each.client] = &each;
        });
        for (const auto& [client, id] : seen.merged) {
            const auto* by = source(id, kind::merge, seen);
            const auto newest = last.find(client);
            if (by && by->told == outcome::acknowledged && newest != last.end() &&
                newest->second->version > by->version)
                wrong(sort::lost, history_text(*newest->second) + " is not in version " +
                                      std::to_string(seen.version) + ", which has " + history_text(*by));
            if (by && by->told == outcome::acknowledged && by->version <= saved.low)
                wrong(sort::phantom, history_text(*by) + " is in a document that was saved after it");
        }
        for (const auto& [client, by] : last)
            if (by->version > saved.high && !seen.merged.contains(client))
                wrong(sort::lost, history_text(*by) + " is not in version " + std::to_string(seen.version));
    }

    const std::string& key_;
    const of_key& all_;
    std::vector<violation>& found_;
    std::unordered_map<write_id, const write*> by_id_;
    std::vector<const write*> acknowledged_; ///< but for erases, by version
    std::vector<const write*> saves_;        ///< the acknowledged ones
    std::vector<const write*> unknown_;
    std::vector<const write*> erases_;
};

void history::add(write what) {
    auto& key = keys_[what.key];
    key.writes.push_back(std::move(what));
    ++size_;
}

void history::add(observation what) {
    auto& key = keys_[what.key];
    key.observations.push_back(std::move(what));
    ++size_;
}

std::string history::story(const std::string& key) const {
    const auto& all = keys_.at(key);
    std::vector<std::pair<time_point, std::string>> lines;
    auto first = time_point::max();
    for (const auto& each : all.writes)
        first = std::min(first, each.invoked);
    for (const auto& each : all.observations)
        first = std::min(first, each.invoked);
    const auto add_line = [&](const auto& of, const std::string& text) {
        const auto since = [&](time_point when) {
            return std::to_string(
                std::chrono::duration_cast<std::chrono::milliseconds>(when - first).count());
        };
        lines.emplace_back(of.completed,
                           since(of.invoked) + " to " + since(of.completed) + ": " + text + '\n');
    };
    for (const auto& each : all.writes)
        add_line(each, history_text(each) + " of client " + std::to_string(each.client) + ", " +
                           (each.told == outcome::acknowledged ? "acknowledged"
                            : each.told == outcome::failed     ? "failed"
                                                               : "unknown") +
                           (each.expected != 0 ? ", expected " + std::to_string(each.expected) : "") +
                           (each.missing ? ", found nothing" : ""));
    for (const auto& each : all.observations)
        add_line(each, each.missing ? std::string("a load found nothing")
                                    : "a load found version " + std::to_string(each.version) + " of save #" +
                                          std::to_string(each.saved) + " and " +
                                          std::to_string(each.appended.size()) + " appends");
    std::ranges::sort(lines);
    std::string told;
    for (const auto& [when, line] : lines)
        told += line;
    return told;
}

std::vector<history::violation> history::check() const {
    std::vector<violation> found;
    std::unordered_map<std::int64_t, const write*> first;
    for (const auto& [key, all] : keys_) {
        checker(key, all, found).check();
        for (const auto& each : all.writes) {
            if (each.what == kind::erase || each.told != outcome::acknowledged) continue;
            const auto [at, inserted] = first.emplace(each.version, &each);
            if (!inserted && at->second->key != each.key)
                found.push_back(
                    {violation::sort::repeated,
                     "key " + key + ": " + history_text(each) + " and one of key " + at->second->key, key});
        }
    }
    return found;
}

} // namespace pgstate_test
