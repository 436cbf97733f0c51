#include "store/change_sql.hpp"

#include <cstddef>
#include <utility>

namespace pgstate::store {
namespace {

using wire::type_oid;

// The key, and the two terms.
constexpr std::size_t parameters_before = 4;

/// A change: what the document becomes, what must hold for that, and the types from $5 on.
struct change_parts {
    change_form form;
    std::string_view purpose;
    std::string document;
    std::string guard;
    std::vector<type_oid> types;
};

/// The member `name` of the document, which the Go SDK may have written as null.
std::string member_or(std::string_view name, std::string_view empty) {
    return std::string("coalesce(nullif(t.state -> '")
        .append(name)
        .append("', 'null'::jsonb), '")
        .append(empty)
        .append("'::jsonb)");
}

std::vector<change_parts> all_parts() {
    using enum type_oid;
    const auto appended = "jsonb_set(t.state, '{history}', " + member_or("history", "[]") + " || $5::jsonb)";
    const auto merged = "jsonb_set(jsonb_set(t.state, '{data}', (" + member_or("data", "{}") +
                        " - $6::text[]) || $5::jsonb), '{context}', (" + member_or("context", "{}") +
                        " - $8::text[]) || $7::jsonb)";
    // The cast refuses what is no number (22023). jsonb_set does nothing where there is nothing to set it in.
    const std::string number = "coalesce((t.state #> $6::text[])::numeric, 0)";
    const std::string place =
        "(t.state #> $6::text[] IS NOT NULL OR jsonb_typeof(t.state #> $7::text[]) = 'object')";
    return {
        {change_form::append, "append", appended, {}, {jsonb}},
        {change_form::merge, "merge", merged, {}, {jsonb, text_array, jsonb, text_array}},
        {change_form::add_integer,
         "add",
         "jsonb_set(t.state, $6::text[], to_jsonb(" + number + " + $5::numeric))",
         place + " AND " + number + " + $5::numeric BETWEEN -9223372036854775808 AND 18446744073709551615",
         {text, text_array, text_array}},
        {change_form::add_double,
         "add_double",
         "jsonb_set(t.state, $6::text[], to_jsonb(" + number + "::float8 + $5::float8))",
         place,
         {text, text_array, text_array}}};
}

/// The parameter after `before` others.
std::string parameter_after(std::size_t before) {
    return "$" + std::to_string(before + 1);
}

std::string over_a_row(const sql_text& sql, const change_parts& change, std::string_view returning) {
    std::string condition = std::string(sql_text::by_key) + " AND ($3::bigint IS NULL OR t.version = $3)";
    if (!change.guard.empty()) condition += " AND " + change.guard;
    return sql.replace(change.document, "coalesce(" + sql_text::expiry_in("$4") + ", t.expires_at)", "",
                       condition, parameter_after(parameters_before + change.types.size()), returning);
}

std::string or_making_one(const sql_text& sql, const change_parts& change, std::string_view returning) {
    const auto before = parameters_before + change.types.size();
    return sql.insert_or_change(sql.one_row(parameter_after(before) + "::jsonb", sql_text::expiry_in("$3"),
                                            parameter_after(before + 1)),
                                change.document,
                                "CASE WHEN $4::bigint <> 0 THEN EXCLUDED.expires_at ELSE t.expires_at END",
                                change.guard, returning);
}

} // namespace

std::vector<change_statement> change_statements(const sql_text& sql, std::string_view returning) {
    using enum type_oid;
    std::vector<change_statement> all;
    for (const auto& each : all_parts()) {
        std::vector<type_oid> types{text, text, int8, int8};
        types.insert(types.end(), each.types.begin(), each.types.end());
        types.push_back(int8);
        all.push_back({each.form, std::string(each.purpose), over_a_row(sql, each, returning), types});
        types.back() = jsonb;
        types.push_back(int8);
        all.push_back({or_create(each.form), std::string(each.purpose) + "_or_create",
                       or_making_one(sql, each, returning), std::move(types)});
    }
    return all;
}

} // namespace pgstate::store
