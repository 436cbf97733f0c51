#include "codec/history.hpp"

#include "codec/change.hpp"
#include "pgstate/operations.hpp"

#include <boost/container_hash/hash.hpp>

#include <algorithm>
#include <functional>
#include <span>
#include <string>

namespace pgstate {
namespace detail {

/// The members of windows and marks.
class history_access {
public:
    static codec::window_numbers numbers_of(const history_window& window) noexcept {
        return {window.from_, window.until_, window.most_};
    }
    static history_window between(std::uint64_t from, std::uint64_t until) noexcept {
        return {from, until, history_window::no_end};
    }

    static std::uint64_t stored(const history_mark& mark) noexcept { return mark.stored_; }

    static void note(agent_state& state, std::uint64_t first, std::uint64_t stored,
                     const std::array<unsigned char, 16>& epoch) {
        state.history_offset = first;
        state.mark = {};
        if (epoch == no_epoch && state.history.size() == stored) return; // whole, and saved as a whole
        state.mark = mark_of(state, stored, digest_of(state.history));
        state.mark.epoch_ = epoch;
    }

    static void set_time(history_mark& mark, timestamp dated) noexcept {
        mark.dated_ = dated.time_since_epoch().count();
    }
    static void set_epoch(history_mark& mark, const std::array<unsigned char, 16>& epoch) noexcept {
        mark.epoch_ = epoch;
    }

    static codec::partial_save check(const agent_state& state, std::string_view operation) {
        const auto refuse = [&](const std::string& why) {
            throw error(errc::invalid_argument, operation, why);
        };
        const auto& mark = state.mark;
        const bool partial = mark.stored_ != mark.window_;
        const auto known = static_cast<std::size_t>(mark.window_);
        const bool has_known = state.history.size() >= known;
        const std::span history(state.history);
        const auto digest = has_known ? digest_of(history.first(known)) : 0;
        const auto after = [&](std::uint64_t stored) {
            return mark_of(state, stored,
                           has_known ? digest_of(history.subspan(known), digest) : digest_of(history));
        };
        if (!partial) {
            if (state.history_offset != 0)
                refuse("history_offset is " + std::to_string(state.history_offset) +
                       ", but the state was not loaded in part; a new one begins at 0");
            codec::partial_save whole{.after = after(state.history.size())};
            // A mark of another state or of messages that were changed since is of no use.
            if (mark.epoch_ != no_epoch && has_known && digest == mark.digest_ &&
                mark.key_ == key_of(state)) {
                whole.stored_known = mark.stored_;
                whole.epoch = mark.epoch_;
            }
            return whole;
        }
        if (mark.key_ != key_of(state))
            refuse("agent_id or session_id is another than that of the load, which gave only a part of the "
                   "history; load all of it to save it under another key");
        if (state.version == 0)
            refuse("version is 0, but the state was loaded in part, and cannot be made from that");
        if (state.history_offset != mark.offset_)
            refuse("history_offset was changed; it belongs to the part of the history that was loaded");
        if (!has_known || digest != mark.digest_)
            refuse("history was loaded in part, and messages of that part were changed or removed; only its "
                   "end can grow. Load all of it to change it");
        const auto added = state.history.size() - known;
        if (added != 0 && mark.offset_ + known != mark.stored_)
            refuse("history was loaded in part, without its end, and cannot grow; append adds messages, or "
                   "load a part that reaches the end");
        return {known, mark.stored_, after(mark.stored_ + added), mark.stored_, mark.epoch_};
    }

    static void apply(const history_mark& saved, agent_state& state, timestamp updated_at) {
        const auto known = static_cast<std::size_t>(saved.window_);
        const bool partial = state.mark.stored_ != state.mark.window_;
        const std::span history(state.history);
        // False of another state's outcome, and where messages were changed since: then the next save is refused, or is one
        // of the whole state.
        const bool of_use = partial || saved.epoch_ != no_epoch;
        const bool same = of_use && saved.key_ == key_of(state) && saved.offset_ == state.history_offset &&
                          (saved.stored_ != saved.window_) == partial &&
                          (!partial || saved.key_ == state.mark.key_) && known <= history.size() &&
                          saved.digest_ == digest_of(history.first(known));
        // An outcome that is not of this part's save leaves its messages as they were loaded.
        const auto kept = same || !partial ? 0 : std::min<std::uint64_t>(state.mark.window_, history.size());
        const timestamp stored(std::chrono::microseconds(saved.dated_));
        const auto when = saved.dated_ == 0 ? updated_at : stored;
        bool dated = false;
        for (auto& message : history.subspan(static_cast<std::size_t>(kept)))
            if (message.timestamp == timestamp{}) {
                message.timestamp = when;
                dated = true;
            }
        // A mark that has become wrong does no harm: the next save finds out.
        if (!same) return;
        state.mark = saved;
        if (dated) state.mark.digest_ = digest_of(history.first(known));
    }

private:
    static constexpr std::array<unsigned char, 16> no_epoch{};

    static history_mark mark_of(const agent_state& state, std::uint64_t stored, std::uint64_t digest) {
        history_mark mark;
        mark.stored_ = stored;
        mark.offset_ = state.history_offset;
        mark.window_ = state.history.size();
        mark.digest_ = digest;
        mark.key_ = key_of(state);
        return mark;
    }

    static std::uint64_t key_of(const agent_state& state) {
        std::size_t seed = std::hash<std::string>{}(state.agent_id);
        boost::hash_combine(seed, std::hash<std::string>{}(state.session_id));
        return seed;
    }

    /// Of the values in memory: equal messages have equal ones. \param seed  the digest of the messages before them
    static std::uint64_t digest_of(std::span<const agent_message> messages, std::size_t seed = 0) {
        const auto add = [&]<class T>(const T& value) { boost::hash_combine(seed, std::hash<T>{}(value)); };
        for (const auto& message : messages) {
            const auto& [role, content, when, metadata, id, extra] = message; // all there are
            add(role);
            add(content);
            add(when.time_since_epoch().count());
            add(metadata);
            add(id);
            add(extra);
        }
        return seed;
    }
};

} // namespace detail

namespace codec {

using detail::history_access;

window_numbers numbers_of(const history_window& window) noexcept {
    return history_access::numbers_of(window);
}

history_window between(std::uint64_t from, std::uint64_t until) noexcept {
    return history_access::between(from, until);
}

void note_window(agent_state& state, std::uint64_t first, std::uint64_t stored,
                 const std::array<unsigned char, 16>& epoch) {
    history_access::note(state, first, stored, epoch);
}

history_mark with_time(history_mark saved, timestamp dated) noexcept {
    history_access::set_time(saved, dated);
    return saved;
}

history_mark with_epoch(history_mark saved, const std::array<unsigned char, 16>& epoch) noexcept {
    history_access::set_epoch(saved, epoch);
    return saved;
}

void cut(agent_state& state, const history_window& window) {
    const auto numbers = numbers_of(window);
    const std::uint64_t stored = state.history.size();
    const auto until = std::min(numbers.until, stored);
    const auto first =
        std::clamp(until - std::min(numbers.most, until), std::min(numbers.from, until), until);
    const auto begin = state.history.begin();
    state.history.erase(begin + static_cast<std::ptrdiff_t>(until), state.history.end());
    state.history.erase(begin, begin + static_cast<std::ptrdiff_t>(first));
    note_window(state, first, stored);
}

std::uint64_t stored_messages(const agent_state& state) noexcept {
    const auto stored = history_access::stored(state.mark);
    return stored == 0 ? state.history.size() : stored;
}

partial_save check_partial(const agent_state& state, std::string_view operation) {
    return history_access::check(state, operation);
}

error replaced_history(std::int64_t version) {
    error failure(
        errc::conflict, "save",
        "a part of the history was loaded, which has been replaced by another since; load it again and "
        "retry");
    return failure.with_current_version(version);
}

std::optional<error> conflict_with(const detail::encoded_state& state, bool if_unchanged,
                                   std::int64_t version, std::uint64_t messages) {
    if (if_unchanged && version != state.version) return conflict("save", state.version, version);
    if (version != 0 && messages == state.stored_messages) return std::nullopt;
    error failure(
        errc::conflict, "save",
        "a part of the history was loaded when it had " + std::to_string(state.stored_messages) +
            " messages, but " +
            (version == 0 ? "the state does not exist any more" : "it has " + std::to_string(messages)) +
            "; load it again and retry");
    return failure.with_current_version(version);
}

} // namespace codec

void saved::apply_to(agent_state& state) const {
    state.version = version;
    state.created_at = created_at;
    state.updated_at = updated_at;
    state.expires_at = expires_at;
    detail::history_access::apply(mark, state, updated_at);
}

} // namespace pgstate
