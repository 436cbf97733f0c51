#include "store/pattern.hpp"

#include <algorithm>
#include <cstddef>

namespace pgstate::store {
namespace {

constexpr char32_t other_case(char32_t c) noexcept {
    if (c >= U'a' && c <= U'z') return c - U'a' + U'A';
    if (c >= U'A' && c <= U'Z') return c - U'A' + U'a';
    return c;
}

constexpr bool is_word_character(char32_t c) noexcept {
    return (c >= U'0' && c <= U'9') || (c >= U'a' && c <= U'z') || (c >= U'A' && c <= U'Z') || c == U'_';
}

bool holds_between(pattern_step::condition where, const std::u32string& text, std::size_t at) {
    using enum pattern_step::condition;
    const bool starts = at == 0, ends = at == text.size();
    const bool word_before = !starts && is_word_character(text[at - 1]);
    const bool word_after = !ends && is_word_character(text[at]);
    switch (where) {
    case text_start: return starts;
    case text_end: return ends;
    case line_start: return starts || text[at - 1] == U'\n';
    case line_end: return ends || text[at] == U'\n';
    case word_start: return !word_before && word_after;
    case word_end: return word_before && !word_after;
    case word_boundary: return word_before != word_after;
    case no_word_boundary: return word_before == word_after;
    }
    return false;
}

/// The steps that can be taken at one place of a text.
class active_steps {
public:
    explicit active_steps(std::size_t count) : seen_at_(count) {}

    void begin_place() {
        steps_.clear();
        ++place_;
    }
    const std::vector<std::uint32_t>& steps() const noexcept { return steps_; }

    /// Adds `step` and what it leads to without a character; true if that is the end.
    bool add(std::uint32_t step, const std::vector<pattern_step>& machine, const std::u32string& text,
             std::size_t at) {
        pending_.assign(1, step);
        while (!pending_.empty()) {
            const auto next = pending_.back();
            pending_.pop_back();
            if (seen_at_[next] == place_) continue;
            seen_at_[next] = place_;
            const auto& what = machine[next];
            switch (what.what) {
            case pattern_step::kind::accept: return true;
            case pattern_step::kind::test: steps_.push_back(next); break;
            case pattern_step::kind::either:
                pending_.push_back(what.second);
                pending_.push_back(what.first);
                break;
            case pattern_step::kind::check:
                if (holds_between(what.where, text, at)) pending_.push_back(what.first);
                break;
            }
        }
        return false;
    }

private:
    std::vector<std::uint32_t> steps_, pending_;
    std::vector<std::size_t> seen_at_;
    std::size_t place_ = 0;
};

} // namespace

std::u32string decode_utf8(std::string_view text) {
    std::u32string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        char32_t c = length == 1 ? lead : lead & (0x7FU >> length);
        for (std::size_t k = 1; k < length && i + k < text.size(); ++k)
            c = (c << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
        result += c;
        i += length;
    }
    return result;
}

bool character_set::matches(char32_t c, bool ignore_case) const noexcept {
    const auto in_ranges = [&](char32_t wanted) {
        return std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) {
            return wanted >= range.first && wanted <= range.second;
        });
    };
    return (in_ranges(c) || (ignore_case && in_ranges(other_case(c)))) != negated;
}

std::optional<bool> pattern::search(std::string_view utf8) const {
    const auto text = decode_utf8(utf8);
    if (asks_for_classes_ && text.size() != utf8.size()) return std::nullopt;
    active_steps now(steps_.size()), then(steps_.size());
    now.begin_place();
    for (std::size_t at = 0;; ++at) {
        if (now.add(0, steps_, text, at)) return true;
        if (at == text.size()) return false;
        then.begin_place();
        for (const auto step : now.steps()) {
            if (sets_[steps_[step].first].matches(text[at], ignore_case_) &&
                then.add(steps_[step].second, steps_, text, at + 1))
                return true;
        }
        std::swap(now, then);
    }
}

} // namespace pgstate::store
