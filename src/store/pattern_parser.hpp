#ifndef PGSTATE_STORE_PATTERN_PARSER_HPP
#define PGSTATE_STORE_PATTERN_PARSER_HPP

#include "store/pattern.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::store {

/// Reads a pattern into a tree, and makes the machine of it.
class pattern_parser {
public:
    pattern_parser(std::string_view text, pattern_flags flags);

    pattern run();

private:
    using node_id = std::size_t;
    struct node {
        enum class kind : std::uint8_t { sequence, choice, repeat, set, check };

        kind what = kind::sequence;
        pattern_step::condition where = pattern_step::condition::text_start; ///< of a check
        std::uint32_t set = 0;
        unsigned least = 1, most = 1; ///< of a repetition
        std::vector<node_id> children{};
    };
    struct escape {
        enum class kind : std::uint8_t { character, in_class, not_in_class, constraint, reference };

        kind what = kind::character;
        char32_t character = 0; ///< the number of the group, for a reference
        std::string_view name{};
        pattern_step::condition where = pattern_step::condition::text_start;
    };
    static constexpr char32_t no_character = 0xFFFFFFFF;

    void not_evaluated(std::string_view what);

    bool ends() const noexcept { return at_ == text_.size(); }
    bool at(std::u32string_view wanted) const noexcept;
    bool eat(std::u32string_view wanted) noexcept;
    char32_t peek();

    void read_prefixes();
    void read_option(char32_t option);
    node_id read_literal();
    node_id read_alternatives(bool in_parentheses, bool in_lookaround);
    node_id read_branch(bool in_parentheses, bool in_lookaround);
    node_id read_part(bool in_lookaround);
    node_id read_group(bool in_lookaround);
    std::optional<node_id> read_lookaround();
    node_id read_quantifier(node_id atom);
    unsigned read_count();

    escape read_escape();
    escape read_number_escape();
    char32_t read_code(unsigned base, std::size_t least, std::size_t most);
    node_id read_escaped(bool in_lookaround);

    void add_class(character_set& members, std::string_view name, bool complement);
    node_id read_bracket();
    void read_bracket_part(character_set& members, bool first);
    escape read_bracket_end();
    std::string read_name(std::u32string_view end, std::string_view wanted);
    void add_range(character_set& members, char32_t first, char32_t last);

    node_id add(node made);
    node_id set(character_set members);
    node_id single(char32_t c);
    node_id check(pattern_step::condition where);
    node_id word_check(pattern_step::condition where);

    std::uint32_t next_step() const noexcept;
    bool write(node_id id);
    bool write_choice(const node& what);
    bool write_repeat(const node& what);

    std::u32string text_;
    std::size_t at_ = 0;
    bool literal_;
    bool dot_all_;
    bool multiline_;
    bool other_syntax_ = false;
    std::size_t depth_ = 0;
    std::size_t groups_ = 0;
    std::size_t written_ = 0;  ///< nodes, with those that take no step
    std::vector<bool> closed_; ///< by the number of a group
    std::vector<node> nodes_;
    pattern result_;
};

} // namespace pgstate::store

#endif
