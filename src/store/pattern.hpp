#ifndef PGSTATE_STORE_PATTERN_HPP
#define PGSTATE_STORE_PATTERN_HPP

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::store {

struct pattern_flags {
    bool ignore_case = false; ///< "i"
    bool dot_all = false;     ///< "s": a dot and a negated bracket match a newline too
    bool multiline = false;   ///< "m": ^ and $ match at newlines too
    bool literal = false;     ///< "q": no character is special, and "s" and "m" mean nothing
};

/// \pre `text` is UTF-8
std::u32string decode_utf8(std::string_view text);

/// What the server refuses in a regular expression.
struct pattern_fault {
    std::string what;
};

/// The set of characters that one place of a pattern matches.
struct character_set {
    std::vector<std::pair<char32_t, char32_t>> ranges; ///< both ends are in it
    bool negated = false;

    void add(char32_t first, char32_t last) { ranges.emplace_back(first, last); }
    bool matches(char32_t c, bool ignore_case) const noexcept;
};

/// A step of the machine that a pattern becomes.
struct pattern_step {
    enum class kind : std::uint8_t {
        test,   ///< one character, of the set `first`
        either, ///< goes on at `first` and at `second`
        check,  ///< the condition `condition` holds between two characters
        accept
    };
    enum class condition : std::uint8_t {
        text_start,
        text_end,
        line_start,
        line_end,
        word_start,
        word_end,
        word_boundary,
        no_word_boundary
    };

    kind what = kind::accept;
    condition where = condition::text_start;
    std::uint32_t first = 0, second = 0;
};

/// A regular expression as like_regex has it: PostgreSQL's "advanced" syntax, searched for anywhere in a text, in time
/// that grows with the product of both lengths at most. Immutable.
class pattern {
public:
    /// Parentheses deeper than this are refused.
    static constexpr std::size_t max_depth = 200;
    /// Steps beyond which a pattern is not evaluated here; counted repetitions are written out.
    static constexpr std::size_t max_steps = 50'000;

    /// \param text  UTF-8
    /// \throws pattern_fault
    static pattern parse(std::string_view text, pattern_flags flags);

    /// What of it cannot be evaluated here, "a back reference" say; empty if all can.
    const std::string& not_evaluated() const noexcept { return not_evaluated_; }

    /// Whether it matches somewhere in `text` (UTF-8). Nothing if that depends on the server's collation: when the text
    /// has characters beyond ASCII and the pattern asks of what class they are.
    /// \pre not_evaluated() is empty
    std::optional<bool> search(std::string_view text) const;

private:
    friend class pattern_parser;

    std::vector<pattern_step> steps_;
    std::vector<character_set> sets_;
    bool ignore_case_ = false;
    bool asks_for_classes_ = false;
    std::string not_evaluated_;
};

} // namespace pgstate::store

#endif
