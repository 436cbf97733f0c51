#include "failure.hpp"

#include "text.hpp"

#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include <iostream>
#include <string_view>

namespace pgstate::cli {

constexpr std::string_view statement_timeout = "57014";

namespace {

boost::asio::awaitable<std::string> encoding_of(postgres_store& store) {
    co_return co_await store.pool().with_connection([](pqxx::connection& connection) {
        return pqxx::nontransaction(connection).exec("SHOW server_encoding")[0][0].as<std::string>();
    });
}

} // namespace

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
    if (state == "42P01")
        message += message.find("_checkpoints\"") != message.npos
                       ? "; 'pgstate migrate --checkpoints' makes the table"
                   : message.find("_messages\"") != message.npos
                       ? "; 'pgstate migrate --history rows' makes the table"
                       : "; 'pgstate migrate' makes the table";
    if (state == "42703") message += "; 'pgstate migrate' brings the table up to date";
    if (state == "42501") message += "; 'pgstate doctor' says which privileges are missing";
    return message;
}

boost::asio::awaitable<std::string> refusal_of_document(postgres_store& store, const error& e) {
    const auto& state = e.sqlstate();
    if (state == "22P05") {
        const auto encoding = co_await encoding_of(store);
        co_return "holds a character that the database's encoding, " + encoding +
            ", does not have; a database with ENCODING 'UTF8' has all";
    }
    if (state == "22P02" || state == "22030") co_return "is not JSON that PostgreSQL takes";
    if (state == "22007" || state == "22008") co_return "has a time that is no RFC 3339 time";
    if (state == "22003") co_return "has a number that is out of range";
    // Its sentence tells the limit, and an index's name; no contents.
    if (state == "54000")
        co_return "is refused by the server: " + std::string(e.what()).substr(e.operation().size() + 2);
    co_return "is refused by the server (SQLSTATE " + state + ")";
}

void report_skipped(const state_key& key, const std::string& why) {
    std::cerr << "pgstate: skipped " << name_of(key.agent_id, key.session_id) << ": " << why << '\n';
}

std::string name_of(const std::string& agent, const std::string& session) {
    return "agent \"" + printable(agent) + "\", session \"" + printable(session) + "\"";
}

} // namespace pgstate::cli
