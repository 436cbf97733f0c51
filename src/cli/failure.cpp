#include "failure.hpp"

#include "text.hpp"

#include <iostream>
#include <string_view>

namespace pgstate::cli {

constexpr std::string_view statement_timeout = "57014";

int exit_code_of(const error& e) {
    if (e == errc::invalid_argument) return exit_code::usage;
    if (e == errc::not_found) return exit_code::not_found;
    if (e == errc::conflict) return exit_code::conflict;
    if (e == errc::outcome_unknown) return exit_code::outcome_unknown;
    if (e.sqlstate() == statement_timeout || e == errc::unavailable || e == errc::timed_out ||
        e == errc::pool_exhausted || e == errc::overloaded)
        return exit_code::unavailable;
    return exit_code::failed;
}

std::string message_of(const error& e) {
    std::string message = e.what();
    const auto& state = e.sqlstate();
    if (state == statement_timeout) message += "; a longer --timeout allows it";
    if (state == "42P01") message += "; 'pgstate migrate' makes the table";
    if (state == "42703") message += "; 'pgstate migrate' brings the table up to date";
    if (state == "42501") message += "; 'pgstate doctor' says which privileges are missing";
    return message;
}

std::string refusal_of_document(const error& e) {
    const auto& state = e.sqlstate();
    if (state == "22P05") return nul_character;
    if (state == "22P02" || state == "22030") return "is not JSON that PostgreSQL takes";
    if (state == "22007" || state == "22008") return "has a time that is no RFC 3339 time";
    if (state == "22003") return "has a number that is out of range";
    if (state == "54000") return "has a key that is too long for the primary key";
    return "is refused by the server (SQLSTATE " + state + ")";
}

void report_skipped(const state_key& key, const std::string& why) {
    std::cerr << "pgstate: skipped " << name_of(key.agent_id, key.session_id) << ": " << why << '\n';
}

std::string name_of(const std::string& agent, const std::string& session) {
    return "agent \"" + printable(agent) + "\", session \"" + printable(session) + "\"";
}

} // namespace pgstate::cli
