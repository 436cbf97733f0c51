#ifndef PGSTATE_STORE_JSONPATH_TREE_HPP
#define PGSTATE_STORE_JSONPATH_TREE_HPP

#include "store/numeric.hpp"
#include "store/pattern.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace pgstate::store {

/// A place in the text of a path, and what was wrong or is not evaluated there.
struct path_place {
    std::size_t offset = 0; ///< in bytes
    std::string what;
};

/// A step, an operator or a literal of a path.
struct path_node {
    enum class kind : std::uint8_t {
        // where a path begins
        root,
        current,
        last,
        null,
        boolean,
        number,
        string,
        // accessors
        key,
        any_key,
        any_element,
        subscripts,
        any_level,
        filter,
        // methods
        type,
        size,
        to_double,
        ceiling,
        floor,
        abs,
        keyvalue,
        // arithmetic
        add,
        subtract,
        multiply,
        divide,
        modulo,
        plus,
        minus,
        // predicates
        all_of,
        any_of,
        negation,
        is_unknown,
        equal,
        not_equal,
        less,
        less_or_equal,
        greater,
        greater_or_equal,
        exists,
        starts_with,
        like_regex,
        not_evaluated, ///< what parses only
    };
    using id = std::size_t;
    static constexpr id none = std::numeric_limits<id>::max();
    static constexpr std::uint32_t last_level = std::numeric_limits<std::uint32_t>::max();

    kind what = kind::root;
    bool truth = false; ///< of a boolean
    std::size_t offset = 0;
    id next = none; ///< what is done with each item that this one gives
    /// Operands, or the beginning and the end (or none) of each range of subscripts.
    std::vector<id> children{};
    std::string text{}; ///< of a string or a key
    numeric value{};    ///< of a number
    std::uint32_t first_level = 0, end_level = 0;
    std::size_t pattern = 0; ///< which one, of like_regex
};

struct path_tree {
    bool lax = true;
    path_node::id top = path_node::none;
    std::vector<path_node> nodes;
    std::vector<pattern> patterns;
    std::optional<path_place> not_evaluated; ///< the first, whatever the document is
};

/// Why a text is no path that can be used.
struct path_fault {
    enum class kind : std::uint8_t {
        syntax,   ///< the server refuses it too
        variable, ///< which has no value here
        too_deep, ///< for this library only
    };

    kind what = kind::syntax;
    path_place place;
};

} // namespace pgstate::store

#endif
