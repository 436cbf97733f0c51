#ifndef PGSTATE_STORE_JSONPATH_EVALUATION_HPP
#define PGSTATE_STORE_JSONPATH_EVALUATION_HPP

#include "store/jsonpath.hpp"
#include "store/jsonpath_item.hpp"
#include "store/jsonpath_tree.hpp"

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pgstate::store {

/// One walk through a path and a document. It goes through both in the server's order, as which of an error and a result
/// comes first can matter: a walk that only asks whether there is a result ends with the first, and what was found before
/// an error is kept by some operators.
class path_evaluation {
public:
    static constexpr std::size_t max_steps = 1'000'000;
    static constexpr std::size_t max_depth =
        2'000; ///< steps within each other; each takes some hundred bytes of stack

    path_evaluation(const path_tree& path, const boost::json::value& document);

    jsonpath::truth run();

private:
    using id = path_node::id;
    using kind = path_node::kind;
    using truth = jsonpath::truth;
    /// Of a step; `found` also when its items were only counted.
    enum class outcome : std::uint8_t { found, nothing, failed };
    class entering;

    /// \param found   where the items go; null where it is enough to know that there is one
    /// \param unwrap  an array stands for its elements, where the step is not for arrays
    outcome execute(id at, const path_item& input, path_items* found, bool unwrap);
    outcome execute(id at, const path_item& input, path_items* found) {
        return execute(at, input, found, path_.lax);
    }
    outcome execute_value(const path_node& step, const path_item& input, path_items* found);
    outcome execute_accessor(id at, const path_item& input, path_items* found, bool unwrap);
    outcome execute_method(id at, const path_item& input, path_items* found, bool unwrap);
    outcome go_on(const path_node& step, const path_item& result, path_items* found);
    outcome mismatch() const noexcept { return ignores_structure_ ? outcome::nothing : outcome::failed; }

    outcome for_each_element(id at, const path_item& array, path_items* found, bool unwrap_elements);
    struct levels {
        std::uint32_t now = 1, first = 1, last = 1;
        bool ignores_structure = false;
        bool unwrap = false;
    };
    outcome for_each_below(id at, const path_item& container, path_items* found, const levels& where);
    outcome visit(id at, const path_item& child, path_items* found, const levels& where);

    outcome execute_key(id at, const path_item& input, path_items* found, bool unwrap);
    outcome execute_any_key(id at, const path_item& input, path_items* found, bool unwrap);
    outcome execute_any_element(const path_node& step, const path_item& input, path_items* found);
    outcome execute_any_level(const path_node& step, const path_item& input, path_items* found);
    outcome execute_subscripts(const path_node& step, const path_item& input, path_items* found);
    struct range {
        std::int32_t first = 0, last = 0;
    };
    std::optional<range> subscript_range(id from, id to, const path_item& input);
    std::optional<std::int32_t> subscript(id at, const path_item& input);
    outcome execute_range(const path_node& step, const path_item& input, range which, path_items* found);
    outcome execute_filter(id at, const path_item& input, path_items* found, bool unwrap);

    outcome execute_size(const path_node& step, const path_item& input, path_items* found);
    outcome execute_rounding(const path_node& step, const path_item& input, path_items* found);
    outcome execute_double(const path_node& step, const path_item& input, path_items* found);
    outcome execute_keyvalue(const path_node& step, const path_item& input, path_items* found);
    outcome execute_arithmetic(const path_node& step, const path_item& input, path_items* found);
    outcome execute_sign(const path_node& step, const path_item& input, path_items* found);
    std::optional<numeric> calculate(const path_node& step, const path_item& left, const path_item& right);

    bool collect(id at, const path_item& input, bool unwrap_result, path_items& found);
    truth condition(id at, const path_item& input);
    truth all_of(const path_node& step, const path_item& input);
    truth any_of(const path_node& step, const path_item& input);
    truth exists(const path_node& step, const path_item& input);
    truth predicate(const path_node& step, const path_item& input);
    truth holds(const path_node& step, const path_item& left, const path_item* right);
    truth compare(const path_node& step, const path_item& left, const path_item& right);
    truth matches_pattern(const path_node& step, const path_item& item);

    numeric number_of(const path_item& item, std::size_t offset) const;
    [[noreturn]] void not_evaluated(std::size_t offset, std::string what) const;

    const path_tree& path_;
    const path_item root_;
    const path_item* current_; ///< what @ stands for
    bool ignores_structure_;
    std::int32_t array_size_ = -1; ///< of the innermost array that is subscripted, for `last`
    std::size_t steps_ = 0;
    std::size_t depth_ = 0;
};

} // namespace pgstate::store

#endif
