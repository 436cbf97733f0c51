#include "sql/session_settings.hpp"

#include "pool/sql_error.hpp"
#include "sql/pqxx_compat.hpp"
#include "sql/prepared.hpp"
#include "sql/table_sql.hpp"

#include <pqxx/except>

#include <utility>

namespace pgstate::sql {
namespace {

/// "set_config('NAME', $1, true), ...". Not SET LOCAL: that takes a list, as of search_path, for one name.
std::string setting_calls(const session_settings& settings) {
    std::string calls;
    for (std::size_t i = 0; i < settings.size(); ++i)
        calls.append(i == 0 ? "" : ", ")
            .append("set_config(")
            .append(quote_literal(settings[i].name))
            .append(", $")
            .append(std::to_string(i + 1))
            .append(", true)");
    return calls;
}

std::string all_names(const session_settings& settings) {
    std::string names;
    for (const auto& each : settings)
        names.append(names.empty() ? "" : ", ").append(each.name);
    return names;
}

/// What set_config gives for a name or a value that cannot be.
bool refuses_a_setting(std::string_view sqlstate) {
    return sqlstate.substr(0, 2) == "22" || sqlstate == "42704" || sqlstate == "42602" ||
           sqlstate == "55P02" || sqlstate == "25001";
}

} // namespace

wire::preamble setting_preamble(std::string_view purpose, std::string_view size,
                                const session_settings& settings, std::string_view others) {
    wire::preamble made;
    made.what.sql = std::string("SELECT ").append(size);
    if (!settings.empty()) made.what.sql.append(", ").append(setting_calls(settings));
    if (!others.empty()) made.what.sql.append(", ").append(others);
    made.what.name = statement_name(purpose, made.what.sql);
    made.what.parameters.assign(settings.size(), wire::type_oid::text);
    for (const auto& each : settings)
        made.values.add_text(each.value);
    return made;
}

const wire::statement& time_limits() noexcept {
    static const auto limits = prepared(
        "limits",
        "SELECT set_config(l.name, l.value, true)"
        " FROM (VALUES ('statement_timeout', $1::text), ('lock_timeout', $2::text)) AS l(name, value)"
        " WHERE l.value IS NOT NULL AND (current_setting(l.name) = '0'"
        " OR current_setting(l.name)::interval > (l.value || ' ms')::interval)",
        {wire::type_oid::text, wire::type_oid::text});
    return limits;
}

void set_for(pqxx::transaction_base& transaction, const session_settings& settings,
             std::string_view operation) {
    if (settings.empty()) return;
    pqxx::params values;
    for (const auto& each : settings)
        values.append(each.value);
    try {
        execute(transaction, "SELECT " + setting_calls(settings), values);
    } catch (const pqxx::sql_error& e) {
        if (!refuses_a_setting(e.sqlstate())) throw;
        wire::server_error refusal{std::string(e.sqlstate()), {}};
        censor(refusal, true, settings);
        throw error::from_server(refusal.sqlstate, operation, refusal.message);
    }
}

std::string without_values(std::string message, const session_settings& settings) {
    for (const auto& each : settings) {
        if (each.value.empty()) continue;
        const auto quoted = '"' + each.value + '"';
        const auto instead = "(the value of " + each.name + ")";
        for (auto at = message.find(quoted); at != message.npos; at = message.find(quoted, at))
            message.replace(at, quoted.size(), instead);
    }
    return message;
}

void censor(wire::server_error& refusal, bool before, const session_settings& settings) {
    if (settings.empty()) return;
    if (before && refuses_a_setting(refusal.sqlstate))
        refusal.message = "the server refused one of config.session_settings (" + all_names(settings) + ")";
    else
        refusal.message = without_values(std::move(refusal.message), settings);
}

void rethrow_without_values(const error& failure, const session_settings& settings) {
    const std::string original = failure.what();
    auto message = without_values(original, settings);
    if (message == original) throw;
    const auto prefix = failure.operation() + ": ";
    if (message.starts_with(prefix)) message.erase(0, prefix.size());
    error clean(failure.code(), failure.operation(), message);
    clean.with_sqlstate(failure.sqlstate()).with_cause(failure.cause());
    if (failure.current_version()) clean.with_current_version(*failure.current_version());
    throw clean;
}

} // namespace pgstate::sql
