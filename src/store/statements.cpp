#include "store/statements.hpp"

#include "pgstate/error.hpp"
#include "store/operations.hpp"
#include "store/sql_text.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <tuple>
#include <utility>

namespace pgstate::store {
namespace {

using wire::type_oid;

// FNV-1a: the name must follow from the text alone, so that every process means the same by it behind a pooler.
std::string name_of(std::string_view purpose, std::string_view sql) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : sql)
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    return std::string("pgstate_").append(purpose).append("_").append(digits);
}

wire::statement prepared(std::string_view purpose, std::string sql, std::vector<type_oid> types) {
    auto name = name_of(purpose, sql);
    return {std::move(name), std::move(sql), std::move(types)};
}

wire::statement planned_anew(std::string sql, std::vector<type_oid> types) {
    return {{}, std::move(sql), std::move(types)};
}

constexpr std::string_view by_key = "t.agent_id = $1 AND t.session_id = $2";
constexpr std::string_view by_input = "t.agent_id = u.a AND t.session_id = u.s";
constexpr std::string_view saved_columns = "t.agent_id, t.session_id, t.version, t.created_at, t.updated_at";
constexpr std::string_view keys_input = "unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(a, s, n) JOIN ";

std::string values_source() {
    return std::string("VALUES ($1, $2, $3, now(), now(), ").append(sql_text::new_version).append(")");
}

// Sorted, so that two processes lock rows in one order.
std::string array_source() {
    return std::string("SELECT u.a, u.s, u.d, now(), now(), ")
        .append(sql_text::new_version)
        .append(" FROM unnest($1::text[], $2::text[], $3::jsonb[]) AS u(a, s, d) "
                "ORDER BY u.a COLLATE \"C\", u.s COLLATE \"C\"");
}

std::string list_sql(const sql_text& sql, bool first) {
    // Times may be NULL in a table that others fill; on pages they count as the epoch, as they load.
    constexpr std::string_view updated = "coalesce(t.updated_at, 'epoch'::timestamptz)";
    std::string condition = " WHERE t.agent_id = $1";
    if (!first) condition.append(" AND (").append(updated).append(", t.session_id COLLATE \"C\") < ($3, $4)");
    condition.append(" ORDER BY ").append(updated).append(" DESC, t.session_id COLLATE \"C\" DESC LIMIT $2");
    return sql.select("t.session_id, t.version, t.created_at, t.updated_at", "", condition);
}

const batch::operation& front(const std::vector<batch::operation_ptr>& operations) {
    return *operations.front();
}

template <class Operation>
const Operation& as(const batch::operation& what) {
    return static_cast<const Operation&>(what);
}

std::size_t total(const std::vector<batch::operation_ptr>& operations,
                  std::size_t (*size)(const batch::operation&)) {
    std::size_t sum = 0;
    for (const auto& each : operations)
        sum += size(*each);
    return sum;
}

void add_keys(wire::parameters& values, const std::vector<batch::operation_ptr>& operations) {
    values.begin_text_array(operations.size(), total(operations, [](const batch::operation& each) {
                                return each.agent_id.size();
                            }));
    for (const auto& each : operations)
        values.element_text(each->agent_id);
    values.begin_text_array(operations.size(), total(operations, [](const batch::operation& each) {
                                return each.session_id.size();
                            }));
    for (const auto& each : operations)
        values.element_text(each->session_id);
}

[[noreturn]] void nonsense() {
    throw error(errc::corrupt_state, {},
                "the server's answer does not fit the statement; is something between?");
}

int only_row(const wire::rows& rows) {
    if (rows.size() > 1) nonsense();
    return rows.size() - 1;
}

std::vector<int> pair_by_ordinal(std::size_t count, const wire::rows& rows) {
    std::vector<int> row_of(count, -1);
    for (int row = 0; row < rows.size(); ++row) {
        const auto ordinal = rows.int8(row, loaded_row::ordinal);
        if (ordinal < 1 || static_cast<std::size_t>(ordinal) > count) nonsense();
        auto& mine = row_of[static_cast<std::size_t>(ordinal) - 1];
        if (mine != -1) nonsense();
        mine = row;
    }
    return row_of;
}

/// \pre the operations are sorted by key, and no key occurs twice
std::vector<int> pair_by_key(const std::vector<batch::operation_ptr>& operations, const wire::rows& rows) {
    std::vector<int> row_of(operations.size(), -1);
    for (int row = 0; row < rows.size(); ++row) {
        const auto key =
            std::pair(rows.text(row, saved_row::agent_id), rows.text(row, saved_row::session_id));
        const auto at =
            std::lower_bound(operations.begin(), operations.end(), key, [](const auto& each, const auto& k) {
                return std::tie(each->agent_id, each->session_id) < std::tie(k.first, k.second);
            });
        if (at == operations.end() || (*at)->agent_id != key.first || (*at)->session_id != key.second)
            nonsense();
        auto& mine = row_of[static_cast<std::size_t>(at - operations.begin())];
        if (mine != -1) nonsense();
        mine = row;
    }
    return row_of;
}

} // namespace

table_statements::table_statements(const settings::table_identifier& table) {
    const sql_text sql(table.quoted());
    using enum type_oid;
    using existing = sql_text::existing;

    save_ = {
        prepared("save", sql.insert(values_source(), existing::replaced, saved_columns), {text, text, jsonb}),
        planned_anew(sql.insert(array_source(), existing::replaced, saved_columns),
                     {text_array, text_array, jsonb_array})};
    create_ = {
        prepared("create", sql.insert(values_source(), existing::kept, saved_columns), {text, text, jsonb}),
        planned_anew(sql.insert(array_source(), existing::kept, saved_columns),
                     {text_array, text_array, jsonb_array})};
    replace_ = {
        prepared("replace", sql.replace("$3", "", std::string(by_key) + " AND t.version = $4", saved_columns),
                 {text, text, jsonb, int8}),
        planned_anew(
            sql.replace("u.d",
                        " FROM unnest($1::text[], $2::text[], $3::jsonb[], $4::bigint[]) AS u(a, s, d, v)",
                        std::string(by_input) + " AND t.version = u.v", saved_columns),
            {text_array, text_array, jsonb_array, int8_array})};
    const auto where_key = std::string(" WHERE ").append(by_key);
    const auto on_input = std::string(" ON ").append(by_input);
    probe_ = {prepared("probe", sql.select("1::bigint, t.version", "", where_key), {text, text}),
              planned_anew(sql.select("u.n, t.version", keys_input, on_input), {text_array, text_array})};
    load_ = {
        prepared("load",
                 sql.select("1::bigint, t.state, t.version, t.created_at, t.updated_at", "", where_key),
                 {text, text}),
        planned_anew(sql.select("u.n, t.state, t.version, t.created_at, t.updated_at", keys_input, on_input),
                     {text_array, text_array})};
    erase_ = {prepared("erase", sql.erase("", by_key, "t.agent_id, t.session_id"), {text, text}),
              planned_anew(sql.erase(" USING unnest($1::text[], $2::text[]) AS u(a, s)", by_input,
                                     "t.agent_id, t.session_id"),
                           {text_array, text_array})};
    list_first_ = prepared("list", list_sql(sql, true), {text, int8});
    list_next_ = prepared("list_next", list_sql(sql, false), {text, int8, timestamptz, text});
    count_agent_ = prepared("count_agent", sql.select("count(*)", "", " WHERE t.agent_id = $1"), {text});
    count_all_ = prepared("count_all", sql.select("count(*)", "", ""), {});
    health_ = prepared("health",
                       "SELECT current_setting('server_version_num')::bigint, "
                       "pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean",
                       {});
}

const table_statements::forms& table_statements::forms_of(batch::kind what) const {
    switch (what) {
    case batch::kind::save: return save_;
    case batch::kind::create: return create_;
    case batch::kind::replace: return replace_;
    case batch::kind::probe: return probe_;
    case batch::kind::load: return load_;
    default: return erase_;
    }
}

batch::command table_statements::build(const std::vector<batch::operation_ptr>& operations) const {
    const auto& first = front(operations);
    batch::command made;
    auto& values = made.values;
    switch (first.what) {
    case batch::kind::list: {
        const auto& list = as<list_operation>(first);
        made.what = list.after() ? &list_next_ : &list_first_;
        values.add_text(first.agent_id);
        values.add_int8(static_cast<std::int64_t>(list.limit()) + 1);
        if (list.after()) {
            values.add_timestamptz(list.after()->updated_at);
            values.add_text(list.after()->session_id);
        }
        return made;
    }
    case batch::kind::count_agent:
        made.what = &count_agent_;
        values.add_text(first.agent_id);
        return made;
    case batch::kind::count_all: made.what = &count_all_; return made;
    case batch::kind::health: made.what = &health_; return made;
    default: break;
    }

    const auto& form = forms_of(first.what);
    const bool with_document = first.what <= batch::kind::replace;
    const bool with_version = first.what == batch::kind::replace;
    if (operations.size() == 1) {
        made.what = &form.one;
        values.add_text(first.agent_id);
        values.add_text(first.session_id);
        if (with_document) values.add_jsonb(as<save_operation>(first).state().document);
        if (with_version) values.add_int8(as<save_operation>(first).state().version);
        return made;
    }
    made.what = &form.many;
    add_keys(values, operations);
    if (with_document) {
        values.begin_jsonb_array(operations.size(), total(operations, [](const batch::operation& each) {
                                     return as<save_operation>(each).state().document.size();
                                 }));
        for (const auto& each : operations)
            values.element_jsonb(as<save_operation>(*each).state().document);
    }
    if (with_version) {
        values.begin_int8_array(operations.size());
        for (const auto& each : operations)
            values.element_int8(as<save_operation>(*each).state().version);
    }
    return made;
}

std::vector<int> table_statements::pair(const std::vector<batch::operation_ptr>& operations,
                                        const wire::rows& rows) const {
    switch (front(operations).what) {
    case batch::kind::list: return {0};
    case batch::kind::count_agent:
    case batch::kind::count_all:
    case batch::kind::health:
        if (rows.size() != 1) nonsense();
        return {0};
    case batch::kind::probe:
    case batch::kind::load:
        return operations.size() == 1 ? std::vector{only_row(rows)}
                                      : pair_by_ordinal(operations.size(), rows);
    default: return operations.size() == 1 ? std::vector{only_row(rows)} : pair_by_key(operations, rows);
    }
}

} // namespace pgstate::store
