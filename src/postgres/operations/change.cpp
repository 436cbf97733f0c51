#include "postgres/operations/change.hpp"

#include "codec/codec.hpp"
#include "postgres/operations/load.hpp"
#include "postgres/operations/probe.hpp"
#include "sql/history_sql.hpp"

#include <cstddef>
#include <numeric>
#include <string_view>
#include <utility>
#include <variant>

namespace pgstate::postgres {
namespace {

using sql::table_sql;
using wire::type_oid;

/// The repeat probe's answer has this column behind `columns_where_ill_formed`.
namespace repeat_row {
constexpr int in_rows = loaded_row::expires_at + 1; ///< of every probe of a part
constexpr int all_there = in_rows + 1;
} // namespace repeat_row

/// A form in SQL: what the document becomes, the types of the parameters from $5 on, and what must hold of a document that is
/// `well_formed`.
struct form_sql {
    std::string_view purpose;
    std::string document;
    sql::types parameters;
    std::string condition{};
    bool appends = true;

    std::string guard(const table_sql& sql) const {
        // An append changes the history in the document.
        auto all = appends ? std::string(well_formed).append(sql.of_document()) : well_formed_in(sql.where());
        if (!condition.empty()) all.append(" AND ").append(condition);
        return all;
    }
};

/// The member `name` of the document, which the Go SDK may have written as null.
std::string member_or(std::string_view name, std::string_view empty) {
    return std::string("coalesce(nullif(t.state -> '")
        .append(name)
        .append("', 'null'::jsonb), '")
        .append(empty)
        .append("'::jsonb)");
}

// What load() makes of a number decides how it is added: one without a fraction that fits 64 bits is an integer, any other
// a double. Each step is a query that is not merged into the next (OFFSET 0): it is evaluated once, and no part of it before
// what guards it. $5 is the number to add, $6 the path.

std::string is_integer(const std::string& number) {
    return "(scale(" + number + ") = 0 AND " + number +
           " BETWEEN -9223372036854775808 AND 18446744073709551615)";
}

/// A double with as few digits as it can have. The server's text has 17 at most, and may have more than the fewest where those
/// lie halfway between two doubles (1e23 is 9.999999999999999e+22 there): that is so between 2^53 and 1e40 only.
std::string shortest(const std::string& number) {
    const auto text = number + "::text::numeric";
    return "CASE WHEN abs(" + number +
           ") BETWEEN 9007199254740992 AND 1e40 THEN (SELECT rounded FROM (SELECT n, round(" + text +
           ", n - length(abs(" + text +
           ")::text)) AS rounded FROM generate_series(15, 17) AS n) AS r WHERE rounded::float8 = " + number +
           " ORDER BY n LIMIT 1) ELSE " + text + " END";
}

/// A double as the decimal number that a save writes for it: an integral one below 1e21 in full, any other in its fewest digits.
std::string decimal_of(const std::string& number) {
    const auto high = "trunc(" + number + " / 4294967296)";
    return "CASE WHEN abs(" + number + ") BETWEEN 9007199254740992 AND 999999999999999868928 THEN " + high +
           "::bigint::numeric * 4294967296 + (" + number + " - " + high + " * 4294967296)::bigint ELSE " +
           shortest(number) + " END";
}

/// Whether a decimal number in the range of doubles is one to its last digit: 53 bits, the last of which is 2^-1074 or more.
std::string is_double(const std::string& number) {
    return "(SELECT min_scale(" + number + ") <= 1074 AND min_scale(whole) = 0 AND abs(whole) <=" +
           " 9007199254740992 * gcd(whole, 2::numeric ^ 1024) FROM (SELECT " + number +
           " * 2::numeric ^ min_scale(" + number + ") AS whole) AS w)";
}

/// `data` or `context` with the sum in its place; NULL where there can be none. The session shows doubles exactly
/// (sql::target_table::before_doubles).
std::string root_with_sum() {
    const std::string root =
        "SELECT CASE WHEN jsonb_typeof(t.state) = 'object'"
        " THEN coalesce(nullif(t.state -> ($6::text[])[1], 'null'), '{}') END AS root OFFSET 0";
    // In an array the server takes more for an index than a JSON pointer has: signs, blanks, leading zeros.
    const auto place = "SELECT root, CASE WHEN jsonb_typeof(root) = 'object' AND NOT EXISTS (SELECT FROM"
                       " unnest(($6::text[])[2:]) WITH ORDINALITY AS s(step, n)"
                       " WHERE step COLLATE \"C\" ~ '^([-+[:space:]]|0[0-9])'"
                       " AND jsonb_typeof(root #> ($6::text[])[2:n::integer]) = 'array')"
                       " THEN coalesce(root #> ($6::text[])[2:], CASE WHEN"
                       " jsonb_typeof(root #> ($6::text[])[2:cardinality($6::text[]) - 1]) = 'object'"
                       " THEN '0'::jsonb END) END AS found FROM (" +
                       root + ") AS a OFFSET 0";
    const auto numbers =
        "SELECT root, CASE WHEN jsonb_typeof(found) = 'number' THEN found::numeric END AS was,"
        " $5::text::numeric AS more FROM (" +
        place + ") AS b OFFSET 0";
    const auto doubles = "SELECT root, was, more, " + is_integer("was") + " AS was_integer, " +
                         is_integer("more") +
                         " AS more_integer, CASE WHEN was = 0 OR abs(was) BETWEEN 4.9e-324 AND"
                         " 1.7976931348623158e308 THEN was::float8 END AS x, more::float8 AS y FROM (" +
                         numbers + ") AS c OFFSET 0";
    // load() reads a number that is the shortest or the exact text of its double. Half of the sum tells whether it fits.
    const auto sums = "SELECT root, was, more, was_integer AND more_integer AS exact, CASE WHEN"
                      " (was_integer OR was = " +
                      shortest("x") + " OR " + is_double("was") +
                      ") AND CASE WHEN least(abs(x), abs(y)) <= 1 THEN true"
                      " ELSE abs(x / 2 + y / 2) <= 8.988465674311579e307::float8 END"
                      " THEN x + y END AS sum FROM (" +
                      doubles + ") AS d OFFSET 0";
    return "(SELECT jsonb_set(root, ($6::text[])[2:], (CASE WHEN NOT exact THEN " + decimal_of("sum") +
           " + 0.0 WHEN " + is_integer("was + more") + " THEN was + more END)::text::jsonb) FROM (" + sums +
           ") AS e)";
}

/// Whether the history has a message with the id `id`, an SQL expression for a jsonb text.
std::string has_message(std::string_view id) {
    return std::string(sql::history_sql::stored)
        .append(" @> jsonb_build_array(jsonb_build_object('id', ")
        .append(id)
        .append("))");
}

/// Those of `messages` that the history does not have yet. An `id` that codec::is_message_id refuses counts as absent.
std::string new_messages(std::string_view columns, std::string_view messages) {
    return std::string("(SELECT ")
        .append(columns)
        .append(" FROM jsonb_array_elements(")
        .append(messages)
        .append(") WITH ORDINALITY AS x(m, n) WHERE (jsonb_typeof(x.m -> 'id') = 'string'"
                " AND octet_length(convert_to(x.m ->> 'id', 'UTF8')) BETWEEN 1 AND ")
        .append(std::to_string(max_message_id_bytes))
        .append(" AND ")
        .append(has_message("x.m -> 'id'"))
        .append(") IS NOT TRUE)");
}

/// \param messages  what an append adds
form_sql sql_of(codec::change_form form, const std::string& messages = "$5::jsonb") {
    using enum type_oid;
    const auto appended = [](const std::string& added) {
        return std::string("jsonb_set(t.state, '{history}', ")
            .append(sql::history_sql::stored)
            .append(" || ")
            .append(added)
            .append(")");
    };
    switch (form) {
    case codec::change_form::append: return {"append", appended(messages), {jsonb}};
    case codec::change_form::append_once:
        return {"append_once",
                appended(new_messages("jsonb_agg(x.m ORDER BY x.n)", messages)),
                {jsonb},
                "EXISTS " + new_messages("", messages)};
    case codec::change_form::merge:
        return {"merge",
                "jsonb_set(jsonb_set(t.state, '{data}', (" + member_or("data", "{}") +
                    " - $6::text[]) || $5::jsonb), '{context}', (" + member_or("context", "{}") +
                    " - $8::text[]) || $7::jsonb)",
                {jsonb, text_array, jsonb, text_array},
                {},
                false};
    case codec::change_form::increment: break;
    }
    const auto root = root_with_sum();
    return {"increment",
            "jsonb_set(t.state, ($6::text[])[:1], " + root + ")",
            {text, text_array},
            root + " IS NOT NULL",
            false};
}

// $1 and $2 are the key. $3 is the version that the row must have, or NULL; where a state may be created, the ttl of a
// created one. $4 is the ttl of an existing state, or 0 to keep its expiry. The change begins at $5; behind it comes, where
// a state may be created, its document, and last the write_name.
constexpr std::size_t before_change = 4;

std::string parameter_after(std::size_t before) {
    return "$" + std::to_string(before + 1);
}

// The key comes first in the CASE: a scan of a small table, where the server tests conditions in an order of its own, would
// read the whole document of each row.
std::string over_a_row(const table_sql& sql, const form_sql& form) {
    const auto condition = std::string(table_sql::by_key) +
                           " AND ($3::bigint IS NULL OR t.version = $3) AND CASE WHEN " +
                           std::string(table_sql::by_key) + " THEN " + form.guard(sql) + " END";
    return sql.replace(form.document, table_sql::expiry_or_kept("$4"), "", condition,
                       parameter_after(before_change + form.parameters.size()), written_row::columns(true));
}

std::string or_creating_one(const table_sql& sql, const form_sql& form) {
    const auto before = before_change + form.parameters.size();
    const auto name = parameter_after(before + 1);
    const bool in_rows = sql.where().begin_in_rows && !form.appends;
    const auto epoch = in_rows ? table_sql::epoch_columns(name, "0") : sql.epoch_columns();
    return sql.insert_or_change(
        table_sql::one_row(parameter_after(before) + "::jsonb", table_sql::expiry_in("$3"), name, epoch),
        form.document, "CASE WHEN $4::bigint <> 0 THEN EXCLUDED.expires_at ELSE t.expires_at END",
        form.guard(sql), written_row::columns(true), table_sql::history::kept);
}

sql::by_size statement_of(const table_sql& sql, codec::change_form form, bool create) {
    using enum type_oid;
    const auto parts = sql_of(form);
    sql::types types{text, text, int8, int8};
    types.insert(types.end(), parts.parameters.begin(), parts.parameters.end());
    if (create) types.push_back(jsonb);
    types.push_back(uuid);
    return sql::prepared_by_size(std::string(parts.purpose) + (create ? "_or_create" : ""),
                                 create ? or_creating_one(sql, parts) : over_a_row(sql, parts), types);
}

/// Of appends to several states.
sql::by_size shared_statement_of(const table_sql& sql, codec::change_form form, bool create) {
    using enum type_oid;
    if (create) {
        const auto parts = sql_of(form, "(EXCLUDED.state -> 'history')");
        const auto source = "SELECT u.a, u.s, u.d::jsonb, now(), now(), " +
                            table_sql::expiry_in("$4::bigint") + ", $5::uuid" + sql.epoch_columns() +
                            " FROM unnest($1::text[], $2::text[], $3::text[]) AS u(a, s, d) ORDER BY ";
        return sql::prepared_by_size(std::string(parts.purpose) + "_or_create_many",
                                     sql.insert_or_change(source + std::string(table_sql::in_order_of_input),
                                                          parts.document, "t.expires_at", parts.guard(sql),
                                                          written_row::columns(true),
                                                          table_sql::history::kept),
                                     {text_array, text_array, text_array, int8, uuid});
    }
    const auto parts = sql_of(form, "u.d::jsonb");
    const auto condition = std::string(table_sql::by_input) + " AND " + parts.guard(sql);
    const auto statement = sql.replace(parts.document, table_sql::expiry_or_kept("u.l"),
                                       " FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])"
                                       " WITH ORDINALITY AS u(a, s, d, l, n)",
                                       condition, "$5", written_row::columns(true) + ", u.n");
    const sql::types types{text_array, text_array, text_array, int8_array, uuid};
    return {sql::planned_anew(statement, types),
            sql::prepared(std::string(parts.purpose) + "_many", statement, types)};
}

} // namespace

change_operation::change_operation(telemetry::operation_id which, const change_types& types,
                                   std::string agent, std::string session, codec::encoded_change change,
                                   change_terms terms, handler_type handler,
                                   const boost::asio::any_completion_executor& io)
    : caller_operation(which, types.of(change, terms), std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), types_(types), change_(std::move(change)), terms_(terms) {
    set_key(agent_, session_);
    if (change_.create && (types_.begin_in_rows || types_.may_be_in_rows(change_)))
        rows_document_ = codec::without_history(std::get<codec::json_text>(change_.parameters.back()).text,
                                                change_.created_history);
    wire::parameters values; // only to know how large they are
    add_to(values);
    bytes = values.bytes();
}

void change_operation::add_to(wire::parameters& values) const {
    struct adder {
        wire::parameters& to;
        void operator()(const codec::json_text& json) const { to.add_jsonb_in_place(json.text); }
        void operator()(const std::string& text) const { to.add_text(text); }
        void operator()(const std::vector<std::string>& texts) const {
            to.begin_text_array(texts.size());
            for (const auto& each : texts)
                to.element_text(each);
        }
    };
    sql::add_key(values, *this);
    if (change_.create)
        values.add_int8(terms_.created_ttl.count());
    else if (terms_.if_version)
        values.add_int8(*terms_.if_version);
    else
        values.add_null();
    values.add_int8(terms_.ttl.count());
    const bool in_rows = change_.create && types_.begin_in_rows && !change_types::appends(change_);
    for (const auto& each : change_.parameters)
        if (in_rows && &each == &change_.parameters.back())
            values.add_jsonb_in_place(rows_document_);
        else
            std::visit(adder{values}, each);
}

row_input change_operation::messages() const {
    return {.ttl = terms_.ttl.count(),
            .created_ttl = terms_.created_ttl.count(),
            .version = terms_.if_version,
            .document = rows_document_,
            .messages = codec::messages_in(std::get<codec::json_text>(change_.parameters.front()).text,
                                           change_.messages)};
}

/// Of a change that wrote no row. If the probe finds a row that the change did not meet, another writer came between them, and
/// it is sent again. If both met the same row, the change cannot be made.
bool change_operation::wants_retry(const wire::rows& rows, int row) {
    const auto version = probed_row::version_in(rows, row);
    if (terms_.if_version && version != *terms_.if_version) return false;
    if (repeats(rows, row)) return false;
    if (row >= 0 && types_.may_be_in_rows(change_)) // the history may have been moved
        asked = rows.boolean(row, repeat_row::in_rows) ? &types_.of_rows(change_)
                                                       : &types_.of_documents(change_, terms_);
    return (row >= 0 || change_.create) && contradicted_.worth_retry(version);
}

/// Of a probe.
bool change_operation::repeats(const wire::rows& rows, int row) const {
    return !ids().empty() && row >= 0 && rows.boolean(row, repeat_row::all_there);
}

result<saved> change_operation::decode() {
    if (!probed() && row() >= 0) return written_row::read(*this, rows(), row(), true);
    if (row() < 0) return change_.create ? write_suppressed(name()) : codec::not_found(name());
    const auto current = rows().int8(row(), probed_row::version);
    if (terms_.if_version && *terms_.if_version != current)
        return codec::conflict(name(), *terms_.if_version, current);
    if (repeats(rows(), row())) {
        saved unchanged{current, rows().timestamptz(row(), loaded_row::created_at),
                        rows().timestamptz(row(), loaded_row::updated_at),
                        expiry_in(rows(), row(), loaded_row::expires_at)};
        unchanged.applied = false;
        return unchanged;
    }
    if (!rows().is_null(row(), loaded_row::state)) {
        auto found = loaded_row::read(rows(), row(), agent_, session_, name()); // says what is wrong with it
        if (increments()) codec::apply(*change_.increment, found);              // says why it cannot be
    }
    return write_suppressed(name());
}

change_type::change_type(sql::target_table& table, codec::change_form form, bool create, bool may_share)
    : writing_type(table, may_share, create ? pairing::position : pairing::ordinal), create_(create),
      one_(statement_of(table.sql(), form, create)) {
    if (may_share) many_ = shared_statement_of(table.sql(), form, create);
}

batch::command change_type::build_without_name(const batch::operation_list& operations) const {
    const auto as_change = [](const batch::operation_ptr& each) -> const change_operation& {
        return static_cast<const change_operation&>(*each);
    };
    const bool large = table().large();
    const auto& first = as_change(operations.front());
    if (operations.size() == 1) {
        batch::command made{
            &one_.of(large), {}, first.increments() ? table().before_doubles() : table().before()};
        first.add_to(made.values);
        return made;
    }
    batch::command made{&many_.of(large), {}, large || create_ ? table().before() : table().before_lookups()};
    sql::add_keys(made.values, operations);
    made.values.begin_text_array(operations.size(),
                                 std::accumulate(operations.begin(), operations.end(), std::size_t{0},
                                                 [&](std::size_t sum, const auto& each) {
                                                     return sum + as_change(each).document().size();
                                                 }));
    for (const auto& each : operations)
        made.values.element_text(as_change(each).document());
    if (create_) {
        made.values.add_int8(first.terms().created_ttl.count()); // the default of all
    } else {
        made.values.begin_int8_array(operations.size());
        for (const auto& each : operations)
            made.values.element_int8(as_change(each).terms().ttl.count());
    }
    return made;
}

single_read make_repeat_probe(sql::target_table& table) {
    const auto& where = table.sql().where();
    auto there = has_message("to_jsonb(i.id)");
    if (where.may_be_in_rows())
        there =
            "CASE WHEN t.epoch IS NULL THEN " + there + " ELSE EXISTS (SELECT FROM " + where.messages +
            " AS m WHERE m.agent_id = $1 AND m.session_id = $2 AND m.epoch = t.epoch AND m.id = i.id) END";
    const auto all_there = "(SELECT bool_and(" + there + ") FROM unnest($3::text[]) AS i(id))";
    return {
        table,
        sql::planned_anew(
            table.sql().select(
                "1::bigint, " + columns_where_ill_formed(where) + ", " + all_there, "",
                std::string(" WHERE ").append(table_sql::by_key).append(" AND ").append(table_sql::alive)),
            {type_oid::text, type_oid::text, type_oid::text_array}),
        [](auto& values, const auto& what) {
            const auto& ids = static_cast<const change_operation&>(what).ids();
            sql::add_key(values, what);
            values.begin_text_array(ids.size());
            for (const auto& each : ids)
                values.element_text(each);
        }};
}

change_types::rows_forms::rows_forms(sql::target_table& table)
    : append(table, "append", true, [](const auto& sql) { return sql.append(); }),
      append_once(
          table, "append_once", true, [](const auto& sql) { return sql.append_once(); },
          [](const auto& sql) { return sql.lock(); }),
      append_or_create(table, "append_or_create", false,
                       [](const auto& sql) { return sql.append_or_create(); }),
      append_once_or_create(
          table, "append_once_or_create", true, [](const auto& sql) { return sql.append_once(); },
          [](const auto& sql) { return sql.lock_or_create(); }) {}

change_types::change_types(sql::target_table& table) : begin_in_rows(table.sql().where().begin_in_rows) {
    for (std::size_t at = 0; at < all_.size(); ++at) {
        const auto form = static_cast<codec::change_form>(at % codec::change_forms);
        const bool create = at >= codec::change_forms;
        all_[at].alone = std::make_unique<change_type>(table, form, create, false);
        if (form == codec::change_form::append || form == codec::change_form::append_once)
            all_[at].shared = std::make_unique<change_type>(table, form, create, true);
    }
    if (table.sql().where().may_be_in_rows()) rows_.emplace(table);
}

const batch::operation_type& change_types::of_documents(const codec::encoded_change& change,
                                                        const change_terms& terms) const noexcept {
    const auto& types =
        all_[static_cast<std::size_t>(change.form) + (change.create ? codec::change_forms : 0)];
    const bool shares = types.shared && !terms.if_version && (!change.create || terms.ttl.count() == 0);
    return shares ? *types.shared : *types.alone;
}

const batch::operation_type& change_types::of_rows(const codec::encoded_change& change) const noexcept {
    if (change.form == codec::change_form::append)
        return change.create ? rows_->append_or_create : rows_->append;
    return change.create ? rows_->append_once_or_create : rows_->append_once;
}

} // namespace pgstate::postgres
