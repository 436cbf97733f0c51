#pragma once

#include "command.hpp"
#include "terminal.hpp"
#include <pgstate/operations.hpp>

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace pgstate::cli {

inline constexpr std::size_t browse_page = 1'000;

/// A member of a line of JSON as a table shows it.
inline std::string cell_of(const boost::json::value& value) {
    return value.is_string() ? std::string(value.get_string()) : boost::json::serialize(value);
}

/// Shows what the pages of `fetch(options)` have, as much as --limit allows: each with the members that `describe` gives
/// as a line of JSON, or with the last of them under `heading`.
template <class Fetch, class Describe>
asio::awaitable<void> show_pages(const context& with, const table_writer::row& heading, Fetch fetch,
                                 Describe describe) {
    auto left = with.given.limit.value_or(std::numeric_limits<std::size_t>::max());
    table_writer table(with.screen, heading);
    list_options options(std::min(left, browse_page));
    do {
        const auto page = co_await fetch(options);
        std::vector<table_writer::row> rows;
        for (auto each = page.begin(); each != page.end() && left > 0; ++each, --left) {
            const boost::json::object members = describe(*each);
            if (with.given.json) {
                write_json(members);
                continue;
            }
            auto& cells = rows.emplace_back();
            for (auto at = members.end() - static_cast<std::ptrdiff_t>(heading.size()); at != members.end();
                 ++at)
                cells.push_back(cell_of(at->value()));
        }
        table.write(std::move(rows));
        flush_out();
        options.after = page.next;
    } while (left > 0 && !options.after.empty());
}

} // namespace pgstate::cli
