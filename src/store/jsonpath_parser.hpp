#ifndef PGSTATE_STORE_JSONPATH_PARSER_HPP
#define PGSTATE_STORE_JSONPATH_PARSER_HPP

#include "store/jsonpath_scanner.hpp"
#include "store/jsonpath_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::store {

/// Reads a path by recursive descent, each token once: in time that grows with the length of the text alone.
class jsonpath_parser {
public:
    /// How deep parentheses, brackets and signs go, and how many steps, or operators of arithmetic, follow each other.
    static constexpr std::size_t max_depth = 200;

    /// \pre `text` is UTF-8 without NUL, and outlives the parser
    explicit jsonpath_parser(std::string_view text);

    /// \throws path_fault
    path_tree run();

private:
    using id = path_node::id;
    using kind = path_node::kind;
    /// What an expression can be is known only when it ends: "(" begins both kinds.
    struct parsed {
        id node = path_node::none;
        bool predicate = false;
    };
    class nesting;

    void advance();
    bool eat(std::string_view symbol);
    bool eat_keyword(std::string_view name);
    void expect(std::string_view symbol, std::string_view what);
    [[noreturn]] void refuse(std::string_view expected) const;
    [[noreturn]] void refuse_depth() const;
    void not_evaluated(std::size_t offset, std::string what);
    id add(kind what, std::size_t offset, std::vector<id> children = {});

    parsed parse_any_of();
    parsed parse_all_of();
    parsed parse_condition();
    parsed parse_comparison(id left);
    id parse_predicate();
    id parse_negation();
    id parse_exists();
    id parse_starts_with(id left);
    id parse_like_regex(id left);
    pattern_flags parse_flags(std::size_t pattern_offset);

    id parse_expression();
    parsed parse_sum();
    parsed parse_product();
    parsed parse_signed();
    parsed parse_path();
    id parse_beginning();
    id parse_literal();
    id parse_number();
    id parse_parenthesized_rest(parsed inside);
    void parse_accessors(id head);
    std::optional<id> parse_accessor();
    id parse_member();
    id parse_any_level(std::size_t offset);
    std::uint32_t parse_level();
    id parse_subscripts();
    id parse_filter();
    id parse_method(const path_token& name);
    void parse_arguments(std::string_view method);
    void parse_precision_and_scale();

    jsonpath_scanner scanner_;
    path_token token_;
    path_tree tree_;
    std::size_t depth_ = 0;
    std::size_t filters_ = 0;    ///< around the current token
    std::size_t subscripts_ = 0; ///< the same
    std::optional<std::size_t> variable_;
};

} // namespace pgstate::store

#endif
