#include "postgres/operations/change.hpp"

#include "postgres/operations/probe.hpp"

#include <cstddef>
#include <string_view>
#include <utility>
#include <variant>

namespace pgstate::postgres {
namespace {

using sql::table_sql;
using wire::type_oid;

/// A form in SQL: what the document becomes, what must hold for that, and the types of the parameters from $5 on.
struct form_sql {
    std::string_view purpose;
    std::string document;
    std::string guard;
    sql::types parameters;
};

/// The member `name` of the document, which the Go SDK may have written as null.
std::string member_or(std::string_view name, std::string_view empty) {
    return std::string("coalesce(nullif(t.state -> '")
        .append(name)
        .append("', 'null'::jsonb), '")
        .append(empty)
        .append("'::jsonb)");
}

// The cast refuses what is no number (22023). jsonb_set does nothing where there is nothing to set it in.
constexpr std::string_view number = "coalesce((t.state #> $6::text[])::numeric, 0)";
constexpr std::string_view place =
    "(t.state #> $6::text[] IS NOT NULL OR jsonb_typeof(t.state #> $7::text[]) = 'object')";

form_sql sql_of(codec::change_form form) {
    using enum type_oid;
    switch (form) {
    case codec::change_form::append:
        return {"append",
                "jsonb_set(t.state, '{history}', " + member_or("history", "[]") + " || $5::jsonb)",
                {},
                {jsonb}};
    case codec::change_form::merge:
        return {"merge",
                "jsonb_set(jsonb_set(t.state, '{data}', (" + member_or("data", "{}") +
                    " - $6::text[]) || $5::jsonb), '{context}', (" + member_or("context", "{}") +
                    " - $8::text[]) || $7::jsonb)",
                {},
                {jsonb, text_array, jsonb, text_array}};
    case codec::change_form::add_integer: {
        const auto sum = std::string(number) + " + $5::numeric";
        return {"add",
                "jsonb_set(t.state, $6::text[], to_jsonb(" + sum + "))",
                std::string(place) + " AND " + sum + " BETWEEN -9223372036854775808 AND 18446744073709551615",
                {text, text_array, text_array}};
    }
    case codec::change_form::add_double: break;
    }
    return {"add_double",
            "jsonb_set(t.state, $6::text[], to_jsonb(" + std::string(number) + "::float8 + $5::float8))",
            std::string(place),
            {text, text_array, text_array}};
}

// $1 and $2 are the key. $3 is the version that the row must have, or NULL; where a state may be created, the ttl of a
// created one. $4 is the ttl of an existing state, or 0 to keep its expiry. The change begins at $5; behind it comes, where
// a state may be created, its document, and last the write_name.
constexpr std::size_t before_change = 4;

std::string parameter_after(std::size_t before) {
    return "$" + std::to_string(before + 1);
}

std::string over_a_row(const table_sql& sql, const form_sql& form) {
    auto condition = std::string(table_sql::by_key) + " AND ($3::bigint IS NULL OR t.version = $3)";
    if (!form.guard.empty()) condition += " AND " + form.guard;
    return sql.replace(form.document, table_sql::expiry_or_kept("$4"), "", condition,
                       parameter_after(before_change + form.parameters.size()), written_row::columns(true));
}

std::string or_creating_one(const table_sql& sql, const form_sql& form) {
    const auto before = before_change + form.parameters.size();
    return sql.insert_or_change(table_sql::one_row(parameter_after(before) + "::jsonb",
                                                   table_sql::expiry_in("$3"), parameter_after(before + 1)),
                                form.document,
                                "CASE WHEN $4::bigint <> 0 THEN EXCLUDED.expires_at ELSE t.expires_at END",
                                form.guard, written_row::columns(true));
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

} // namespace

change_operation::change_operation(telemetry::operation_id which, const batch::operation_type& as,
                                   std::string agent, std::string session, codec::encoded_change change,
                                   change_terms terms, handler_type handler,
                                   const boost::asio::any_completion_executor& io)
    : caller_operation(which, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), change_(std::move(change)), terms_(terms) {
    set_key(agent_, session_);
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
    for (const auto& each : change_.parameters)
        std::visit(adder{values}, each);
}

/// One that may create the state finds a row or makes one; but an increment finds none where there is no place for the number.
bool change_operation::probes() const noexcept {
    return !change_.create || increments();
}

/// It should have found the row, or made one. But an increment that found no place for the number is right where that row is
/// the one it met.
bool change_operation::wants_retry(const wire::rows& rows, int row) {
    const auto version = probed_row::version_in(rows, row);
    if (terms_.if_version && (version != *terms_.if_version || increments())) return false;
    return (row >= 0 || change_.create) && contradicted_.worth_retry(version);
}

result<saved> change_operation::decode() {
    if (!probed() && row() >= 0) return written_row::read(*this, rows(), row(), true);
    if (row() < 0) return change_.create ? write_suppressed(name()) : codec::not_found(name());
    const auto current = rows().int8(row(), probed_row::version);
    if (terms_.if_version && *terms_.if_version != current)
        return codec::conflict(name(), *terms_.if_version, current);
    if (!increments()) return write_suppressed(name());
    return codec::not_incremented(
        "the sum would not fit into 64 bits, an object on the way to it is missing, or a "
        "trigger or policy of the table suppresses the write");
}

error change_operation::explain(error failure) const {
    if (!increments()) return failure;
    // The casts' refusals: invalid_parameter_value and numeric_value_out_of_range.
    if (failure.sqlstate() == "22023") return codec::not_incremented("the value is not a number");
    if (failure.sqlstate() == "22003") return codec::not_incremented("the sum would not fit into a double");
    return failure;
}

change_type::change_type(sql::target_table& table, codec::change_form form, bool create)
    : writing_type(table, false), statement_(statement_of(table.sql(), form, create)) {}

batch::command change_type::build_without_name(const batch::operation_list& operations) const {
    batch::command made{&statement_.of(table().large()), {}, table().before()};
    static_cast<const change_operation&>(*operations.front()).add_to(made.values);
    return made;
}

change_types::change_types(sql::target_table& table) {
    for (const bool create : {false, true})
        for (std::size_t form = 0; form < codec::change_forms; ++form)
            all_.push_back(
                std::make_unique<change_type>(table, static_cast<codec::change_form>(form), create));
}

const batch::operation_type& change_types::of(const codec::encoded_change& change) const noexcept {
    return *all_[static_cast<std::size_t>(change.form) + (change.create ? codec::change_forms : 0)];
}

} // namespace pgstate::postgres
