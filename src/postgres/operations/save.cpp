#include "postgres/operations/save.hpp"

#include "codec/change.hpp"
#include "codec/codec.hpp"
#include "codec/history.hpp"
#include "sql/checkpoint_sql.hpp"
#include "sql/history_sql.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::postgres {
namespace {

using sql::table_sql;
using sql::checkpoint_sql::saving;

constexpr std::string_view never = "NULL::timestamptz";

/// The columns of history_probe_type's answer behind those of every probe.
namespace probed_history {
enum : int { messages = probed_row::version + 1, epoch };
} // namespace probed_history

const save_operation& as_save(const batch::operation_ptr& what) {
    return static_cast<const save_operation&>(*what);
}

bool any_expires(const batch::operation_list& operations) {
    return std::ranges::any_of(operations, [](const auto& each) { return as_save(each).ttl().count() != 0; });
}

/// The rows of several saves, sorted, so that two processes lock rows in one order. The documents come as text: with an
/// array of jsonb a batch of 64 saves costs the server a sixth more.
std::string array_source(bool with_expiry, const std::string& epoch) {
    return std::string("SELECT u.a, u.s, u.d::jsonb, now(), now(), ")
        .append(with_expiry ? table_sql::expiry_in("u.l") : std::string(never))
        .append(with_expiry ? ", $5::uuid" : ", $4::uuid")
        .append(epoch)
        .append(with_expiry
                    ? " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS u(a, s, d, l)"
                    : " FROM unnest($1::text[], $2::text[], $3::text[]) AS u(a, s, d)")
        .append(" ORDER BY ")
        .append(table_sql::in_order_of_input);
}

void add_documents(wire::parameters& values, const batch::operation_list& operations) {
    std::size_t bytes = 0;
    for (const auto& each : operations)
        bytes += as_save(each).state().document.size();
    values.begin_text_array(operations.size(), bytes);
    for (const auto& each : operations)
        values.element_text(as_save(each).state().document);
}

void add_expiries(wire::parameters& values, const batch::operation_list& operations) {
    values.begin_int8_array(operations.size());
    for (const auto& each : operations)
        values.element_int8(as_save(each).ttl().count());
}

} // namespace

save_operation::save_operation(const save_types& types, detail::encoded_state state,
                               const save_options& options, std::chrono::milliseconds default_ttl,
                               handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::save, types.of(options, state), std::move(handler), io),
      types_(types), state_(std::move(state)), options_(options),
      keeps_expiry_(state_.version != 0 && !options.ttl),
      ttl_(options.ttl.value_or(keeps_expiry_ && (options_.if_unchanged || partial())
                                    ? std::chrono::milliseconds(0)
                                    : default_ttl)) {
    set_key(state_.agent_id, state_.session_id);
    if (types_.where.may_be_in_rows())
        rows_document_ = codec::without_history(state_.document, state_.history);
    bytes = whole_bytes();
    if (extends() && !partial()) { // what is stored is not sent
        const auto& begins = state_.history.messages;
        const auto known = static_cast<std::size_t>(state_.known_messages);
        bytes -= (known < begins.size() ? begins[known] : state_.history.end) - state_.history.begin;
    }
}

bool save_operation::extends() const noexcept {
    return types_.is_in_rows(asked) && types_.extends(asked);
}

row_input save_operation::whole() const {
    return {.ttl = ttl_.count(),
            .version = state_.version,
            .document = rows_document_,
            .messages = codec::messages_in(state_.document, state_.history)};
}

row_input save_operation::added() const {
    // The document of a state that was loaded in part has only the messages to add.
    const auto first = partial() ? 0 : static_cast<std::size_t>(state_.known_messages);
    return {.ttl = keeps_expiry_ ? 0 : ttl_.count(),
            .version = options_.if_unchanged ? std::optional(state_.version) : std::nullopt,
            .known = static_cast<std::int64_t>(state_.known_messages),
            .epoch = state_.epoch,
            .document = rows_document_,
            .messages = codec::messages_in(state_.document, state_.history, first)};
}

std::optional<std::int64_t> save_operation::if_version() const noexcept {
    return options_.if_unchanged && state_.version != 0 ? std::optional(state_.version) : std::nullopt;
}

/// With what a probe found; nothing: the row that kept it from being created is gone by now, or the one that it was to replace
/// is there.
std::optional<error> save_operation::conflict(const wire::rows& rows, int row) const {
    const auto version = probed_row::version_in(rows, row);
    if (!partial()) {
        if (version == state_.version || !options_.if_unchanged) return std::nullopt;
        return codec::conflict("save", state_.version, version);
    }
    const auto messages = row < 0 ? 0 : static_cast<std::uint64_t>(rows.int8(row, probed_history::messages));
    if (auto found = codec::conflict_with(state_, options_.if_unchanged, version, messages)) return found;
    const bool another = state_.epoch != wire::uuid{} && !rows.is_null(row, probed_history::epoch) &&
                         rows.uuid(row, probed_history::epoch) != state_.epoch;
    if (another) return codec::replaced_history(version);
    return std::nullopt;
}

bool save_operation::wants_retry(const wire::rows& rows, int row) {
    if (conflict(rows, row)) return false;
    if (extends() && !partial()) {
        asked = &types_.of_whole(options_, state_); // what is stored is not what the state begins with
        bytes = whole_bytes();
    } else if (partial() && types_.rows) {
        // The history may have been moved between the document and rows.
        const bool in_rows = !rows.is_null(row, probed_history::epoch);
        asked = in_rows ? static_cast<const batch::traits*>(&types_.rows->extend) : &types_.extend;
    }
    return contradicted_.worth_retry(probed_row::version_in(rows, row));
}

result<saved> save_operation::decode() {
    if (probed()) return conflict(rows(), row()).value_or(write_suppressed("save"));
    if (row() < 0) return write_suppressed("save");
    auto done = written_row::read(*this, rows(), row(), rows().columns() > written_row::expires_at);
    if (!done) return done;
    done->mark = state_.mark;
    if (types_.is_in_rows(asked) && !rows().is_null(row(), rows_row::epoch))
        done->mark = codec::with_epoch(state_.mark, rows().uuid(row(), rows_row::epoch));
    return done;
}

insert_type::insert_type(sql::target_table& table, table_sql::existing what) : writing_type(table, true) {
    using enum wire::type_oid;
    const auto& sql = table.sql();
    constexpr std::array<std::string_view, 3> purposes{"save", "renew", "create"};
    const auto purpose = purposes[static_cast<std::size_t>(what)];
    const auto make = [&](bool with_expiry, sql::types of_one, sql::types of_many) -> forms {
        const auto epoch = sql.epoch_columns();
        const auto one = with_expiry ? table_sql::one_row("$3", table_sql::expiry_in("$4"), "$5", epoch)
                                     : table_sql::one_row("$3", never, "$4", epoch);
        const auto returning = written_row::columns(with_expiry || what == table_sql::existing::renewed);
        const auto save = [&](const std::string& source, sql::types types) {
            auto text = saving(sql, returning,
                               [&](const std::string& columns) { return sql.insert(source, what, columns); });
            auto made = sql::prepared(purpose, std::move(text), std::move(types));
            made.verb = "INSERT";
            return made;
        };
        return {save(one, std::move(of_one)), save(array_source(with_expiry, epoch), std::move(of_many))};
    };
    without_expiry_ = make(false, {text, text, jsonb, uuid}, {text_array, text_array, text_array, uuid});
    with_expiry_ =
        make(true, {text, text, jsonb, int8, uuid}, {text_array, text_array, text_array, int8_array, uuid});
}

batch::command insert_type::build_without_name(const batch::operation_list& operations) const {
    const bool one = operations.size() == 1;
    const bool expires = any_expires(operations);
    const auto& statements = expires ? with_expiry_ : without_expiry_;
    batch::command made{one ? &statements.one : &statements.many, {}, table().before()};
    if (one) {
        const auto& save = as_save(operations.front());
        sql::add_key(made.values, save);
        made.values.add_jsonb_in_place(save.state().document);
        if (expires) made.values.add_int8(save.ttl().count());
    } else {
        sql::add_keys(made.values, operations);
        add_documents(made.values, operations);
        if (expires) add_expiries(made.values, operations);
    }
    return made;
}

replace_type::replace_type(sql::target_table& table) : writing_type(table, true, pairing::ordinal) {
    using enum wire::type_oid;
    const auto& sql = table.sql();
    const auto key = std::string(table_sql::by_key) + " AND t.version = $4";
    const auto input = std::string(table_sql::by_input) + " AND t.version = u.v";
    const auto columns = written_row::columns(true);
    const auto one = saving(sql, columns, [&](const std::string& returning) {
        return sql.replace("$3", table_sql::expiry_or_kept("$5"), "", key, "$6", returning,
                           sql.in_document());
    });
    const auto many = saving(
        sql, columns,
        [&](const std::string& returning) {
            return sql.replace("u.d::jsonb", table_sql::expiry_or_kept("u.l"),
                               " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])"
                               " WITH ORDINALITY AS u(a, s, d, v, l, n)",
                               input, "$6", returning, sql.in_document());
        },
        ", u.n");
    statements_ = sql::make_lookup("replace", one, {text, text, jsonb, int8, int8, uuid}, many,
                                   {text_array, text_array, text_array, int8_array, int8_array, uuid});
    for (auto* each : {&statements_.one, &statements_.many})
        each->small.verb = each->large.verb = "UPDATE";
}

batch::command replace_type::build_without_name(const batch::operation_list& operations) const {
    const bool one = operations.size() == 1;
    const bool large = table().large();
    batch::command made{&(one ? statements_.one : statements_.many).of(large),
                        {},
                        one || large ? table().before() : table().before_lookups()};
    if (one) {
        const auto& save = as_save(operations.front());
        sql::add_key(made.values, save);
        made.values.add_jsonb_in_place(save.state().document);
        made.values.add_int8(save.state().version);
        made.values.add_int8(save.ttl().count());
    } else {
        sql::add_keys(made.values, operations);
        add_documents(made.values, operations);
        made.values.begin_int8_array(operations.size());
        for (const auto& each : operations)
            made.values.element_int8(as_save(each).state().version);
        add_expiries(made.values, operations);
    }
    return made;
}

extend_type::extend_type(sql::target_table& table) : writing_type(table, false) {
    using enum wire::type_oid;
    const auto& sql = table.sql();
    const auto extend = saving(sql, written_row::columns(true), [&](const std::string& returning) {
        return sql.extend("$3::jsonb", "$4::bigint", "$5::bigint", "$6::bigint", "$7", returning);
    });
    statement_ = sql::prepared_by_size("extend", extend, {text, text, jsonb, int8, int8, int8, uuid});
    statement_.small.verb = statement_.large.verb = "UPDATE";
}

batch::command extend_type::build_without_name(const batch::operation_list& operations) const {
    const auto& save = as_save(operations.front());
    batch::command made{&statement_.of(table().large()), {}, table().before()};
    sql::add_key(made.values, save);
    made.values.add_jsonb_in_place(save.state().document);
    made.values.add_int8(save.ttl().count());
    made.values.add_int8(static_cast<std::int64_t>(save.state().stored_messages));
    if (const auto version = save.if_version())
        made.values.add_int8(*version);
    else
        made.values.add_null();
    return made;
}

extend_rows_type::extend_rows_type(sql::target_table& table)
    : rows_write(table, "extend", true, [](const auto& sql) { return sql.extend(); }) {}

history_probe_type::history_probe_type(sql::target_table& table)
    : selecting_type(table, "probe_history",
                     "t.version, " + sql::history_sql::count(table.sql().where()) +
                         (table.sql().where().may_be_in_rows() ? ", t.epoch" : ", NULL::uuid")) {}

save_types::in_rows::in_rows(sql::target_table& table)
    : save(
          table, "save", [](const auto& sql) { return sql.save(table_sql::existing::replaced); }, false),
      renew(
          table, "renew", [](const auto& sql) { return sql.save(table_sql::existing::renewed); }, false),
      create(
          table, "create", [](const auto& sql) { return sql.save(table_sql::existing::unchanged); }, false),
      replace(
          table, "replace", [](const auto& sql) { return sql.replace(); }, true),
      extend(table) {}

save_types::save_types(sql::target_table& table)
    : where(table.sql().where()), save(table, table_sql::existing::replaced),
      renew(table, table_sql::existing::renewed), create(table, table_sql::existing::unchanged),
      replace(table), extend(table) {
    if (where.may_be_in_rows()) rows.emplace(table);
}

bool save_types::is_in_rows(const batch::traits* type) const noexcept {
    return rows && (type == &rows->save || type == &rows->renew || type == &rows->create ||
                    type == &rows->replace || type == &rows->extend);
}

const batch::operation_type& save_types::of(const save_options& options,
                                            const detail::encoded_state& state) const noexcept {
    // A save of a state of version 0 replaces the row's expiry, and `extend` keeps it.
    const bool knows_rows = rows && state.epoch != wire::uuid{} && state.version != 0;
    if (knows_rows) return rows->extend;
    if (state.stored_messages != 0) return extend;
    return of_whole(options, state);
}

const batch::operation_type& save_types::of_whole(const save_options& options,
                                                  const detail::encoded_state& state) const noexcept {
    const auto choose = [&](const auto& set) -> const batch::operation_type& {
        if (!options.if_unchanged) return state.version == 0 || options.ttl ? set.save : set.renew;
        if (state.version == 0) return set.create;
        return set.replace;
    };
    if (where.begin_in_rows) return choose(*rows);
    return choose(*this);
}

} // namespace pgstate::postgres
