#ifndef PGSTATE_STORE_JSONPATH_SCANNER_HPP
#define PGSTATE_STORE_JSONPATH_SCANNER_HPP

#include "store/jsonpath_tree.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgstate::store {

struct path_token {
    enum class kind : std::uint8_t { end, symbol, name, string, integer, decimal, variable };

    kind what = kind::end;
    /// The characters of a symbol or a number; a name, a string or a variable with its escapes decoded.
    std::string text;
    std::string_view keyword; ///< which one a name is, in lower case; empty for others
    std::size_t offset = 0;

    bool is(std::string_view symbol) const noexcept { return what == kind::symbol && text == symbol; }
    bool is_keyword(std::string_view name) const noexcept { return !keyword.empty() && keyword == name; }
};

/// Divides a path into tokens, as PostgreSQL's scanner does (with the numbers that version 16 added).
class jsonpath_scanner {
public:
    /// \pre `text` is UTF-8 without NUL, and outlives the scanner
    explicit jsonpath_scanner(std::string_view text) noexcept : text_(text) {}

    /// \throws path_fault
    path_token next();

private:
    unsigned char byte(std::size_t at) const noexcept;
    std::size_t run_of_others(std::size_t from) const noexcept;
    bool skip_blanks_and_comments();
    void skip_comment();
    path_token scan_number_or_name();
    bool scan_name(path_token& token);
    path_token scan_string(path_token::kind kind);
    path_token scan_symbol();
    void scan_escape(std::string& out);
    void scan_unicode(std::string& out);
    char32_t scan_code_point();
    void append_character(std::string& out, char32_t c, std::size_t offset) const;
    [[noreturn]] void refuse(std::size_t offset, std::string what) const;

    std::string_view text_;
    std::size_t at_ = 0;
};

} // namespace pgstate::store

#endif
