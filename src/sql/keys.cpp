#include "sql/keys.hpp"

#include "batch/operation_type.hpp"
#include "pgstate/error.hpp"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <tuple>
#include <utility>

namespace pgstate::sql {
namespace {

bool same_key(const batch::operation& a, const batch::operation& b) {
    return a.session_id == b.session_id && a.agent_id == b.agent_id;
}

/// Calls `use` with the first operation of each key.
template <class Use>
void for_each_key(const batch::operation_list& operations, Use use) {
    for (std::size_t i = 0; i < operations.size(); ++i)
        if (i == 0 || !same_key(*operations[i - 1], *operations[i])) use(*operations[i]);
}

} // namespace

void add_key(wire::parameters& values, const batch::operation& what) {
    values.add_text(what.agent_id);
    values.add_text(what.session_id);
}

void add_keys(wire::parameters& values, const batch::operation_list& operations) {
    std::size_t count = 0;
    std::size_t agent_bytes = 0;
    std::size_t session_bytes = 0;
    for_each_key(operations, [&](const batch::operation& each) {
        ++count;
        agent_bytes += each.agent_id.size();
        session_bytes += each.session_id.size();
    });
    values.begin_text_array(count, agent_bytes);
    for_each_key(operations, [&](const batch::operation& each) { values.element_text(each.agent_id); });
    values.begin_text_array(count, session_bytes);
    for_each_key(operations, [&](const batch::operation& each) { values.element_text(each.session_id); });
}

void refuse_answer() {
    throw error(
        errc::corrupt_state, {},
        "the server's answer does not fit the statement; is something between pgstate and the server?");
}

int only_row(const wire::rows& rows) {
    if (rows.size() > 1) refuse_answer();
    return rows.size() - 1;
}

std::vector<int> rows_by_ordinal(std::size_t count, const wire::rows& rows, int ordinal) {
    std::vector<int> row_of(count, -1);
    for (int row = 0; row < rows.size(); ++row) {
        const auto at = rows.int8(row, ordinal);
        if (at < 1 || static_cast<std::size_t>(at) > count) refuse_answer();
        auto& mine = row_of[static_cast<std::size_t>(at) - 1];
        if (mine != -1) refuse_answer();
        mine = row;
    }
    return row_of;
}

std::vector<int> pair_by_ordinal(const batch::operation_list& operations, const wire::rows& rows,
                                 int ordinal) {
    std::size_t keys = 0;
    for_each_key(operations, [&](const batch::operation&) { ++keys; });
    const auto row_of_key = rows_by_ordinal(keys, rows, ordinal);
    std::vector<int> row_of;
    row_of.reserve(operations.size());
    std::size_t key = 0;
    for (std::size_t i = 0; i < operations.size(); ++i) {
        if (i == 0 || !same_key(*operations[i - 1], *operations[i])) ++key;
        row_of.push_back(row_of_key[key - 1]);
    }
    return row_of;
}

std::vector<int> pair_in_order(const batch::operation_list& operations, const wire::rows& rows,
                               int agent_id) {
    const auto count = static_cast<std::size_t>(rows.size());
    if (count > operations.size()) refuse_answer();
    std::vector<int> row_of(operations.size(), -1);
    bool strange = false; // a key that nobody sent
    for (int row = 0; row < rows.size(); ++row) {
        const auto key = std::pair(rows.text(row, agent_id), rows.text(row, agent_id + 1));
        const auto at =
            std::lower_bound(operations.begin(), operations.end(), key, [](const auto& each, const auto& k) {
                return std::tie(each->agent_id, each->session_id) < std::tie(k.first, k.second);
            });
        const bool sent =
            at != operations.end() && (*at)->agent_id == key.first && (*at)->session_id == key.second;
        auto* const mine = sent ? &row_of[static_cast<std::size_t>(at - operations.begin())] : nullptr;
        if (mine && *mine == -1)
            *mine = row;
        else
            strange = true;
    }
    if (!strange) return row_of;
    if (count == operations.size())
        std::iota(row_of.begin(), row_of.end(), 0);
    else
        std::replace(row_of.begin(), row_of.end(), -1, batch::send_alone);
    return row_of;
}

} // namespace pgstate::sql
