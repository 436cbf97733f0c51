#include "store/jsonpath.hpp"

#include "config/utf8.hpp"
#include "pgstate/error.hpp"
#include "store/jsonpath_evaluator.hpp"
#include "store/jsonpath_parser.hpp"

#include <algorithm>
#include <utility>
#include <variant>

namespace pgstate::store {
namespace {

/// \pre the text is UTF-8
std::size_t character_at(std::string_view text, std::size_t offset) {
    return 1 + static_cast<std::size_t>(std::count_if(text.begin(),
                                                      text.begin() + static_cast<std::ptrdiff_t>(offset),
                                                      [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string at_character(std::size_t character) {
    return "at character " + std::to_string(character) + ": ";
}

std::variant<path_tree, jsonpath_fault> read_path(std::string_view text) {
    switch (settings::check_text(text)) {
    case settings::text_fault::none: break;
    case settings::text_fault::nul:
        return jsonpath_fault{.message = "holds a NUL character, which PostgreSQL cannot take"};
    case settings::text_fault::not_utf8: return jsonpath_fault{.message = "is not valid UTF-8"};
    }
    try {
        return jsonpath_parser(text).run();
    } catch (const path_fault& fault) {
        const auto character = character_at(text, fault.place.offset);
        const auto kind = fault.what == path_fault::kind::syntax     ? jsonpath_fault::kind::syntax
                          : fault.what == path_fault::kind::variable ? jsonpath_fault::kind::variable
                                                                     : jsonpath_fault::kind::too_deep;
        return jsonpath_fault{kind, fault.place.offset, character,
                              at_character(character) + "expected " + fault.place.what};
    }
}

[[noreturn]] void refuse_evaluation(std::string_view operation, std::string_view text,
                                    const path_place& place) {
    throw error(errc::invalid_argument, operation,
                "jsonpath: " + at_character(character_at(text, place.offset)) + place.what +
                    " is not evaluated by a memory_store; PostgreSQL does");
}

} // namespace

jsonpath::jsonpath(std::shared_ptr<const path_tree> tree, std::shared_ptr<const std::string> text)
    : tree_(std::move(tree)), text_(std::move(text)) {}

jsonpath jsonpath::parse(std::string_view text, std::string_view operation) {
    auto read = read_path(text);
    if (const auto* fault = std::get_if<jsonpath_fault>(&read))
        throw error(errc::invalid_argument, operation, "jsonpath: " + fault->message);
    return {std::make_shared<const path_tree>(std::get<path_tree>(std::move(read))),
            std::make_shared<const std::string>(text)};
}

std::optional<jsonpath_fault> jsonpath::first_fault(std::string_view text) {
    auto read = read_path(text);
    if (auto* fault = std::get_if<jsonpath_fault>(&read)) return std::move(*fault);
    return std::nullopt;
}

void jsonpath::check_evaluated(std::string_view operation) const {
    if (tree_->not_evaluated) refuse_evaluation(operation, *text_, *tree_->not_evaluated);
}

jsonpath::truth jsonpath::matches(const boost::json::value& document, std::string_view operation) const {
    check_evaluated(operation);
    try {
        return evaluate(*tree_, document);
    } catch (const path_not_evaluated& what) {
        refuse_evaluation(operation, *text_, what.place);
    }
}

} // namespace pgstate::store
