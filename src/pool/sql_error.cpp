#include "pool/sql_error.hpp"

#include "pgstate/error.hpp"

#include <pqxx/except>

namespace pgstate::pool {
namespace {

error lost_connection(std::string_view operation, const char* what, std::string_view sqlstate = {}) {
    error failure(errc::unavailable, operation, "the connection was lost: " + primary_message(what));
    failure.with_sqlstate(sqlstate);
    return failure;
}

// libpqxx 7 throws some of its types without the SQLSTATE they stand for.
std::string_view sqlstate_of(const pqxx::sql_error& refused) {
    if (!refused.sqlstate().empty()) return refused.sqlstate();
    if (dynamic_cast<const pqxx::insufficient_privilege*>(&refused)) return "42501";
    return {};
}

} // namespace

std::string primary_message(std::string_view what) {
    std::string_view line = what.substr(0, what.find_first_of("\r\n"));
    // "ERROR:  ..." in the language of the server; libpqxx may put "Failure during '...': " before it.
    if (const auto severity = line.find(":  "); severity != line.npos) line.remove_prefix(severity + 3);
    return std::string(line);
}

std::string_view hint_in(std::string_view what) {
    constexpr std::string_view label = "\nHINT:  ";
    const auto end = what.find('\n');
    if (end == what.npos || !what.substr(end).starts_with(label)) return {};
    what.remove_prefix(end + label.size());
    return what.substr(0, what.find_first_of("\r\n"));
}

void rethrow_as_error(std::string_view operation,
                      const std::function<std::string(std::string_view sqlstate)>& advice) {
    try {
        throw;
    } catch (const error&) {
        throw;
    } catch (const pqxx::in_doubt_error&) {
        throw error(errc::outcome_unknown, operation,
                    "the connection was lost during the commit: the transaction may have been applied");
    } catch (const pqxx::statement_completion_unknown& e) {
        error failure(errc::outcome_unknown, operation, primary_message(e.what()));
        throw failure.with_sqlstate("40003");
    } catch (const pqxx::too_many_connections& e) {
        throw lost_connection(operation, e.what(), "53300");
    } catch (const pqxx::protocol_violation& e) {
        throw error::from_server("08P01", operation, primary_message(e.what()));
    } catch (const pqxx::broken_connection& e) {
        throw lost_connection(operation, e.what());
    } catch (const pqxx::sql_error& e) {
        const auto sqlstate = sqlstate_of(e);
        if (sqlstate.empty()) throw lost_connection(operation, e.what());
        auto message = primary_message(e.what());
        if (const auto hint = hint_in(e.what()); !hint.empty()) message.append("; hint: ").append(hint);
        if (const auto what_to_do = advice ? advice(sqlstate) : std::string(); !what_to_do.empty())
            message.append("; ").append(what_to_do);
        throw error::from_server(sqlstate, operation, message);
    }
}

void rethrow_callback_failure(std::string_view operation) {
    const auto original = std::current_exception();
    try {
        rethrow_as_error(operation);
    } catch (error& e) {
        // An error of our own is passed on as it is: as its own cause it would never be freed.
        if (!e.cause() && std::current_exception() != original) e.with_cause(original);
        throw;
    } catch (const std::exception& e) {
        error failure(errc::callback_failed, operation,
                      std::string("the function passed in threw: ") + primary_message(e.what()));
        throw failure.with_cause(original);
    } catch (...) {
        error failure(errc::callback_failed, operation,
                      "the function passed in threw something that is no exception");
        throw failure.with_cause(original);
    }
}

} // namespace pgstate::pool
