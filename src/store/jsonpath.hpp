#ifndef PGSTATE_STORE_JSONPATH_HPP
#define PGSTATE_STORE_JSONPATH_HPP

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pgstate::store {

struct path_tree;

/// Why a text is refused as a path. It names the place and the kind of thing that was expected there, never what stands
/// there: a path's literals can be private.
struct jsonpath_fault {
    enum class kind : std::uint8_t {
        syntax, ///< the server refuses it as well
        variable, ///< `$name`: none is given (version 17 refuses it where it is evaluated, earlier ones take null)
        too_deep, ///< see jsonpath
    };

    kind what = kind::syntax;
    std::size_t offset = 0;    ///< in bytes, from 0
    std::size_t character = 0; ///< from 1; 0 where the text as a whole is meant
    std::string message;       ///< "at character 7: expected ..."
};

/// An SQL/JSON path in PostgreSQL's language (versions 14 to 17), and what `document @@ path` gives, without a server.
/// Immutable, cheap to copy; any thread may use a copy.
///
/// What is not evaluated here is refused when it is asked for, and never answered otherwise than the server would:
/// - whatever the document is: .datetime() and the methods of version 17; in like_regex back references, lookaround,
///   collating elements, other syntaxes, the flag "i" with characters beyond ASCII; literals of more than 5,000 digits;
/// - where a document leads there: the ids of .keyvalue(), like_regex that asks for a class (\w, [[:alpha:]]) of characters
///   beyond ASCII, which is the server's collation's matter; results of more than 5,000 digits; more than a million
///   steps, and more than 2,000 within each other.
///
/// A path nested deeper than 200 parentheses, brackets and signs, or with more than 200 accessors or operators of
/// arithmetic in a row, is refused (any number of && and || is fine).
class jsonpath {
public:
    enum class truth { no, yes, unknown };

    /// \throws error invalid_argument - what first_fault() says; or the text holds NUL or is not UTF-8
    static jsonpath parse(std::string_view text, std::string_view operation);

    /// What keeps a text from being a path; nothing if it is one.
    static std::optional<jsonpath_fault> first_fault(std::string_view text);

    /// For those who want to refuse what matches() would refuse for every document, before they look for one.
    /// \throws error invalid_argument - names what is not evaluated, and where
    void check_evaluated(std::string_view operation) const;

    /// What `document @@ path` gives; unknown stands for null, which also a path that is no predicate gives.
    /// \pre `document` is what a state can hold
    /// \throws error invalid_argument - something is not evaluated here
    truth matches(const boost::json::value& document, std::string_view operation) const;

private:
    jsonpath(std::shared_ptr<const path_tree> tree, std::shared_ptr<const std::string> text);

    std::shared_ptr<const path_tree> tree_;
    std::shared_ptr<const std::string> text_;
};

} // namespace pgstate::store

#endif
