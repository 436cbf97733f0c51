#include "problem.hpp"

#include "preconditions.hpp"

#include <boost/asio/error.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

namespace session_server {
namespace {

std::string_view title_of(unsigned status) {
    switch (status) {
    case 400: return "Bad Request";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 422: return "Unprocessable Content";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
    }
}

problem problem_named(unsigned status, std::string_view name, std::string detail) {
    problem made{.status = status, .type = "urn:pgstate:problem:"};
    made.type += name;
    made.detail = std::move(detail);
    return made;
}

// In the store's own words. Of a failure that the client cannot mend it learns the type alone: the text can name hosts and
// tables, and pgstate has written it to the log.
problem told_problem(unsigned status, std::string_view name, const pgstate::error& failure) {
    problem made = problem_named(status, name, failure.what());
    if (const auto version = failure.current_version()) {
        made.current_version = *version;
        if (*version != 0) made.headers.emplace_back("ETag", etag_of(*version));
    }
    return made;
}

problem refused_by_database(const pgstate::error& failure) {
    const std::string_view state = failure.sqlstate();
    if (state == "57014") return problem_named(504, "timed-out", "the database gave the statement up");
    // Connections, resources, operators and transactions: all of them pass.
    for (const std::string_view passing : {"08", "25", "40", "53", "57"})
        if (state.starts_with(passing))
            return problem_named(503, "unavailable", "the database does not do this at the moment");
    return problem_named(500, "internal", "the database refused the operation");
}

} // namespace

problem problem_of(const pgstate::error& failure, circumstances given) {
    using pgstate::errc;
    if (failure.code() == boost::asio::error::operation_aborted)
        return problem_named(503, "unavailable", "the operation was given up");
    if (failure.code().category() != pgstate::pgstate_category()) return refused_by_database(failure);
    switch (static_cast<errc>(failure.code().value())) {
    case errc::invalid_argument:
        return told_problem(given.has_content ? 422 : 400, "invalid-argument", failure);
    case errc::not_found: return told_problem(given.conditional ? 412 : 404, "not-found", failure);
    case errc::conflict: return told_problem(given.conditional ? 412 : 409, "conflict", failure);
    case errc::timed_out: return told_problem(504, "timed-out", failure); // says whether a write was sent
    case errc::pool_exhausted:
        return problem_named(503, "pool-exhausted", "no connection to the database became free in time");
    case errc::overloaded: return problem_named(503, "overloaded", "too much is under way; nothing was done");
    case errc::unavailable:
        return problem_named(503, "unavailable", "the database cannot be reached; nothing was done");
    case errc::closed: return problem_named(503, "closed", "the server is shutting down");
    case errc::outcome_unknown:
        return problem_named(
            500, "outcome-unknown",
            "the connection to the database broke, and it cannot be told whether the write was "
            "applied; get the session to see");
    case errc::corrupt_state:
        return problem_named(500, "corrupt-state", "what is stored is not the state of a session");
    case errc::schema_mismatch:
    case errc::callback_failed: break;
    }
    return problem_named(500, "internal", "the server failed");
}

response to_response(const problem& what, std::string_view request_id) {
    boost::json::object members{{"type", what.type},
                                {"title", title_of(what.status)},
                                {"status", what.status},
                                {"detail", what.detail},
                                {"instance", "urn:x-request-id:" + std::string(request_id)}};
    if (what.current_version) members["current_version"] = *what.current_version;
    response made{.status = what.status, .headers = what.headers};
    made.headers.emplace_back("Content-Type", "application/problem+json");
    if (what.status == 503) made.headers.emplace_back("Retry-After", "1"); // at once it would be the same
    made.body = boost::json::serialize(members);
    return made;
}

} // namespace session_server
