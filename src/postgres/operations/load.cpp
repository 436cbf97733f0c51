#include "postgres/operations/load.hpp"

#include "codec/codec.hpp"
#include "codec/history.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/history_sql.hpp"
#include "sql/keys.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

namespace pgstate::postgres {

namespace history_sql = sql::history_sql;
using sql::table_sql;

namespace {

const load_operation& as_load(const batch::operation_ptr& what) {
    return static_cast<const load_operation&>(*what);
}

} // namespace

std::array<std::int64_t, 3> window_parameters(const history_window& window) noexcept {
    const auto numbers = codec::numbers_of(window);
    // No history is longer than that: a clamped number means the same.
    const auto bounded = [](std::uint64_t number) {
        return static_cast<std::int64_t>(
            std::min<std::uint64_t>(number, std::numeric_limits<std::int64_t>::max()));
    };
    return {bounded(numbers.from), bounded(numbers.until), bounded(numbers.most)};
}

namespace {

/// Of a column behind the number of the first message.
constexpr int behind_first(int column) {
    return column - loaded_row::first;
}

bool may_be_in_rows(const wire::rows& rows, int first) {
    return rows.columns() > first + behind_first(loaded_row::in_rows);
}

} // namespace

std::optional<std::string_view> messages_in_rows(const wire::rows& rows, int row, int first) {
    if (!may_be_in_rows(rows, first) || rows.is_null(row, first + behind_first(loaded_row::epoch)))
        return std::nullopt;
    const int column = first + behind_first(loaded_row::in_rows);
    return rows.is_null(row, column) ? std::string_view() : rows.text(row, column);
}

void note_window(agent_state& state, const wire::rows& rows, int row, int first, const history_window& window,
                 std::string_view operation) {
    const int epoch = first + behind_first(loaded_row::epoch);
    const bool in_rows = may_be_in_rows(rows, first) && !rows.is_null(row, epoch);
    if (!in_rows && window == history_window::all) return;
    const auto stored =
        static_cast<std::uint64_t>(rows.int8(row, first + behind_first(loaded_row::messages)));
    const auto from = static_cast<std::uint64_t>(rows.int8(row, first));
    if (!in_rows) return codec::note_window(state, from, stored);
    const auto until = std::min(codec::numbers_of(window).until, stored);
    if (state.history.size() != until - std::min(from, until))
        throw error(errc::corrupt_state, operation,
                    "the history has " + std::to_string(stored) + " messages, but of those from number " +
                        std::to_string(from) + " on and below " + std::to_string(until) + " there are " +
                        std::to_string(state.history.size()) +
                        " rows; something else than pgstate has written or deleted some");
    codec::note_window(state, from, stored, rows.uuid(row, epoch));
}

std::string loaded_row::columns(const sql::histories& where) {
    std::string columns = "t.version, t.state, t.created_at, t.updated_at, t.expires_at";
    if (where.may_be_in_rows())
        columns += ", 0::bigint, coalesce(t.messages, 0), " + history_sql::rows_columns(where, "t", "", "");
    return columns;
}

agent_state loaded_row::read(const wire::rows& rows, int row, std::string_view agent_id,
                             std::string_view session_id, std::string_view operation) {
    return codec::decode(agent_id, session_id, rows.jsonb(row, state), rows.int8(row, probed_row::version),
                         rows.timestamptz(row, created_at), rows.timestamptz(row, updated_at),
                         expiry_in(rows, row, expires_at), operation, std::string_view());
}

load_operation::load_operation(const batch::operation_type& as, std::string agent, std::string session,
                               const history_window& window, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::load, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), window_(window) {
    set_key(agent_, session_);
}

result<std::optional<agent_state>> load_operation::decode() {
    if (row() < 0) return std::nullopt;
    auto loaded = codec::decode(
        agent_, session_, rows().jsonb(row(), loaded_row::state), rows().int8(row(), probed_row::version),
        rows().timestamptz(row(), loaded_row::created_at), rows().timestamptz(row(), loaded_row::updated_at),
        expiry_in(rows(), row(), loaded_row::expires_at), name(),
        messages_in_rows(rows(), row(), loaded_row::first));
    note_window(loaded, rows(), row(), loaded_row::first, window_, name());
    return loaded;
}

windowed_load_type::windowed_load_type(sql::target_table& table)
    : operation_type({.keyed = true, .shares = true}), table_(table) {
    using enum wire::type_oid;
    const auto& sql = table.sql();
    const auto& where = sql.where();
    const auto columns = std::string(", t.version, ")
                             .append(history_sql::windowed_document(where))
                             .append(", t.created_at, t.updated_at, t.expires_at, ")
                             .append(history_sql::window_columns(where));
    const auto alive = std::string(" AND ").append(table_sql::alive);
    statements_ =
        sql::make_lookup("load_window",
                         sql.select("1::bigint" + columns, "",
                                    history_sql::join_window(where, "$3", "$4", "$5") + " WHERE " +
                                        std::string(table_sql::by_key) + alive),
                         {text, text, int8, int8, int8},
                         sql.select("u.n" + columns,
                                    "unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])"
                                    " WITH ORDINALITY AS u(a, s, f, l, m, n) JOIN ",
                                    " ON " + std::string(table_sql::by_input) + alive +
                                        history_sql::join_window(where, "u.f", "u.l", "u.m")),
                         {text_array, text_array, int8_array, int8_array, int8_array});
}

batch::command windowed_load_type::build(const batch::operation_list& operations) const {
    const bool one = operations.size() == 1;
    const bool large = table_.large();
    batch::command made{&(one ? statements_.one : statements_.many).of(large),
                        {},
                        (one || large) && !table_.sql().where().may_be_in_rows() ? table_.before()
                                                                                 : table_.before_lookups()};
    if (one) {
        sql::add_key(made.values, *operations.front());
        for (const auto number : window_parameters(as_load(operations.front()).window()))
            made.values.add_int8(number);
        return made;
    }
    // Loads of one state can have different windows: each is an input of its own.
    for (const auto part : {&batch::operation::agent_id, &batch::operation::session_id}) {
        made.values.begin_text_array(operations.size());
        for (const auto& each : operations)
            made.values.element_text((*each).*part);
    }
    for (std::size_t i = 0; i < 3; ++i) {
        made.values.begin_int8_array(operations.size());
        for (const auto& each : operations)
            made.values.element_int8(window_parameters(as_load(each).window())[i]);
    }
    return made;
}

std::vector<int> windowed_load_type::pair(const batch::operation_list& operations,
                                          const wire::rows& rows) const {
    return sql::rows_by_ordinal(operations.size(), rows, probed_row::ordinal);
}

} // namespace pgstate::postgres
