#include "store/jsonpath_evaluator.hpp"

#include "store/jsonpath_evaluation.hpp"

#include <algorithm>
#include <utility>

namespace pgstate::store {

class path_evaluation::entering {
public:
    entering(path_evaluation& evaluation, std::size_t offset) : evaluation_(evaluation) {
        if (++evaluation_.steps_ > max_steps)
            evaluation_.not_evaluated(offset, "what takes more than " + std::to_string(max_steps) + " steps");
        if (++evaluation_.depth_ > max_depth)
            evaluation_.not_evaluated(offset,
                                      "what goes more than " + std::to_string(max_depth) + " steps deep");
    }
    entering(const entering&) = delete;
    entering& operator=(const entering&) = delete;
    ~entering() { --evaluation_.depth_; }

private:
    path_evaluation& evaluation_;
};

jsonpath::truth evaluate(const path_tree& path, const boost::json::value& document) {
    return path_evaluation(path, document).run();
}

path_evaluation::path_evaluation(const path_tree& path, const boost::json::value& document)
    : path_(path), root_(item_of(document)), current_(&root_), ignores_structure_(path.lax) {}

jsonpath::truth path_evaluation::run() {
    path_items found;
    execute(path_.top, root_, &found); // what was found before an error counts
    if (found.size() != 1 || found.front().what != path_item::kind::boolean) return truth::unknown;
    return found.front().truth ? truth::yes : truth::no;
}

void path_evaluation::not_evaluated(std::size_t offset, std::string what) const {
    throw path_not_evaluated{{offset, std::move(what)}};
}

numeric path_evaluation::number_of(const path_item& item, std::size_t offset) const {
    if (item.server_only) not_evaluated(offset, "the id that .keyvalue() gives");
    if (item.number) return *item.number;
    if (item.value->is_int64()) return numeric(item.value->get_int64());
    if (item.value->is_uint64()) return numeric(item.value->get_uint64());
    return numeric::of_double(item.value->get_double());
}

path_evaluation::outcome path_evaluation::execute(id at, const path_item& input, path_items* found,
                                                  bool unwrap) {
    const auto& step = path_.nodes[at];
    const entering level(*this, step.offset);
    if (step.what <= kind::string) return execute_value(step, input, found);
    if (step.what <= kind::filter) return execute_accessor(at, input, found, unwrap);
    if (step.what <= kind::keyvalue) return execute_method(at, input, found, unwrap);
    if (step.what <= kind::modulo) return execute_arithmetic(step, input, found);
    if (step.what <= kind::minus) return execute_sign(step, input, found);

    const auto result = condition(at, input);
    if (step.next == path_node::none && !found) return outcome::found;
    return go_on(step, result == truth::unknown ? path_item{} : item_of(result == truth::yes), found);
}

path_evaluation::outcome path_evaluation::go_on(const path_node& step, const path_item& result,
                                                path_items* found) {
    if (step.next != path_node::none) return execute(step.next, result, found);
    if (found) found->push_back(result);
    return outcome::found;
}

path_evaluation::outcome path_evaluation::execute_value(const path_node& step, const path_item&,
                                                        path_items* found) {
    switch (step.what) {
    case kind::root: return go_on(step, root_, found);
    case kind::current: return go_on(step, path_item(*current_), found);
    case kind::last: return go_on(step, item_of(numeric(std::int64_t{array_size_} - 1)), found);
    case kind::boolean: return go_on(step, item_of(step.truth), found);
    case kind::number: return go_on(step, item_of(step.value), found);
    case kind::string: return go_on(step, item_of(std::string_view(step.text)), found);
    default: return go_on(step, {}, found);
    }
}

path_evaluation::outcome path_evaluation::execute_accessor(id at, const path_item& input, path_items* found,
                                                           bool unwrap) {
    const auto& step = path_.nodes[at];
    switch (step.what) {
    case kind::key: return execute_key(at, input, found, unwrap);
    case kind::any_key: return execute_any_key(at, input, found, unwrap);
    case kind::any_element: return execute_any_element(step, input, found);
    case kind::subscripts: return execute_subscripts(step, input, found);
    case kind::any_level: return execute_any_level(step, input, found);
    default: return execute_filter(at, input, found, unwrap);
    }
}

// --- children --------------------------------------------------------------------------------------------------------

path_evaluation::outcome path_evaluation::for_each_element(id at, const path_item& array, path_items* found,
                                                           bool unwrap_elements) {
    return for_each_below(at, array, found, {.unwrap = unwrap_elements});
}

path_evaluation::outcome path_evaluation::visit(id at, const path_item& child, path_items* found,
                                                const levels& where) {
    if (at == path_node::none) {
        if (found) found->push_back(child);
        return outcome::found;
    }
    const bool ignored = std::exchange(ignores_structure_, ignores_structure_ || where.ignores_structure);
    const auto result = execute(at, child, found, where.unwrap);
    ignores_structure_ = ignored;
    return result;
}

path_evaluation::outcome path_evaluation::for_each_below(id at, const path_item& container, path_items* found,
                                                         const levels& where) {
    const entering level(*this, at == path_node::none ? 0 : path_.nodes[at].offset);
    auto result = outcome::nothing;
    if (where.now > where.last) return result;
    const auto ends = [&] { return result == outcome::failed || (result == outcome::found && !found); };
    const bool only_leaves = where.first == path_node::last_level && where.last == path_node::last_level;
    auto below = where;
    ++below.now;
    for (const auto& child : children_of(container)) {
        if (where.now >= where.first || (only_leaves && !child.is_container())) {
            result = visit(at, child, found, where);
            if (ends()) break;
        }
        if (where.now < where.last && child.is_container()) {
            result = for_each_below(at, child, found, below);
            if (ends()) break;
        }
    }
    return result;
}

// --- accessors -------------------------------------------------------------------------------------------------------

path_evaluation::outcome path_evaluation::execute_key(id at, const path_item& input, path_items* found,
                                                      bool unwrap) {
    const auto& step = path_.nodes[at];
    if (input.what == path_item::kind::object) {
        const auto value = member_of(input, step.text);
        return value ? go_on(step, *value, found) : mismatch();
    }
    if (unwrap && input.what == path_item::kind::array) return for_each_element(at, input, found, false);
    return mismatch();
}

path_evaluation::outcome path_evaluation::execute_any_key(id at, const path_item& input, path_items* found,
                                                          bool unwrap) {
    if (input.what == path_item::kind::object)
        return for_each_element(path_.nodes[at].next, input, found, path_.lax);
    if (unwrap && input.what == path_item::kind::array) return for_each_element(at, input, found, false);
    return mismatch();
}

path_evaluation::outcome path_evaluation::execute_any_element(const path_node& step, const path_item& input,
                                                              path_items* found) {
    if (input.what == path_item::kind::array) return for_each_element(step.next, input, found, path_.lax);
    return path_.lax ? go_on(step, input, found) : mismatch();
}

path_evaluation::outcome path_evaluation::execute_any_level(const path_node& step, const path_item& input,
                                                            path_items* found) {
    auto result = outcome::nothing;
    if (step.first_level == 0) {
        const bool ignored = std::exchange(ignores_structure_, true);
        result = go_on(step, input, found);
        ignores_structure_ = ignored;
        if (result == outcome::found && !found) return result;
    }
    // The server forgets here what failed at the first level.
    if (input.is_container())
        result = for_each_below(step.next, input, found,
                                {.first = step.first_level,
                                 .last = step.end_level,
                                 .ignores_structure = true,
                                 .unwrap = path_.lax});
    return result;
}

path_evaluation::outcome path_evaluation::execute_subscripts(const path_node& step, const path_item& input,
                                                             path_items* found) {
    const bool is_array = input.what == path_item::kind::array;
    if (!is_array && !path_.lax) return mismatch();
    // Where the server returns early, it leaves the size behind.
    const auto outer_size = array_size_;
    const auto size = is_array ? static_cast<std::int32_t>(input.value->get_array().size()) : 1;
    array_size_ = size;
    auto result = outcome::nothing;
    for (std::size_t i = 0; i < step.children.size(); i += 2) {
        auto which = subscript_range(step.children[i], step.children[i + 1], input);
        if (!which) {
            result = outcome::failed;
            break;
        }
        if (!ignores_structure_ && (which->first < 0 || which->first > which->last || which->last >= size))
            return outcome::failed;
        which->first = std::max(which->first, 0);
        which->last = std::min(which->last, size - 1);
        if (step.next == path_node::none && !found && which->first <= which->last) return outcome::found;
        result = execute_range(step, input, *which, found);
        if (result == outcome::failed || (result == outcome::found && !found)) break;
    }
    array_size_ = outer_size;
    return result;
}

path_evaluation::outcome path_evaluation::execute_range(const path_node& step, const path_item& input,
                                                        range which, path_items* found) {
    auto result = outcome::nothing;
    for (auto i = which.first; i <= which.last; ++i) {
        const auto element = input.what == path_item::kind::array
                                 ? item_of(input.value->get_array()[static_cast<std::size_t>(i)])
                                 : input;
        result = go_on(step, element, found);
        if (result == outcome::failed || (result == outcome::found && !found)) break;
    }
    return result;
}

std::optional<path_evaluation::range> path_evaluation::subscript_range(id from, id to,
                                                                       const path_item& input) {
    const auto first = subscript(from, input);
    if (!first) return std::nullopt;
    const auto last = to == path_node::none ? first : subscript(to, input);
    if (!last) return std::nullopt;
    return range{*first, *last};
}

std::optional<std::int32_t> path_evaluation::subscript(id at, const path_item& input) {
    path_items found;
    if (execute(at, input, &found) == outcome::failed) return std::nullopt;
    if (found.size() != 1 || found.front().what != path_item::kind::number) return std::nullopt;
    return number_of(found.front(), path_.nodes[at].offset).trunc().to_int32();
}

path_evaluation::outcome path_evaluation::execute_filter(id at, const path_item& input, path_items* found,
                                                         bool unwrap) {
    if (unwrap && input.what == path_item::kind::array) return for_each_element(at, input, found, false);
    const auto& step = path_.nodes[at];
    const auto* outer = std::exchange(current_, &input);
    const auto result = condition(step.children.front(), input);
    current_ = outer;
    return result == truth::yes ? go_on(step, input, found) : outcome::nothing;
}

} // namespace pgstate::store
