#include "pgstate/error.hpp"
#include "pool/sql_error.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <pqxx/except>

#include <functional>
#include <stdexcept>
#include <string>

using namespace pgstate;

namespace {

template <class Exception>
error translated(const Exception& thrown, const std::function<std::string(std::string_view)>& advice = {}) {
    return pgstate_test::failure_of([&] {
        try {
            throw thrown;
        } catch (...) {
            pool::rethrow_as_error("save", advice);
        }
    });
}

const std::string server_text = "ERROR:  duplicate key value violates unique constraint \"k\"\n"
                                "DETAIL:  Key (a)=(secret content) already exists.\n";

} // namespace

TEST_CASE("only the server's own sentence is kept", "[schema]") {
    CHECK(pool::primary_message(server_text) == "duplicate key value violates unique constraint \"k\"");
    CHECK(pool::primary_message("Failure during 'x': FEHLER:  nein\nZEILE 1: SELECT") == "nein");
    CHECK(pool::primary_message("server closed the connection unexpectedly\n\tThis probably means") ==
          "server closed the connection unexpectedly");
    CHECK(pool::primary_message("") == "");
    CHECK(pool::hint_in("ERROR:  no\nHINT:  Do it otherwise.\nCONTEXT:  secret") == "Do it otherwise.");
    CHECK(pool::hint_in("ERROR:  no\nDETAIL:  secret\nHINT:  secret") == "");
    CHECK(pool::hint_in("ERROR:  no") == "");
    CHECK(pool::hint_in("") == "");
}

TEST_CASE("what the server refuses keeps its SQLSTATE and loses its details", "[schema]") {
    const auto e = translated(pqxx::unique_violation(server_text, "INSERT secret content", "23505"));
    CHECK(e == sqlstate::unique_violation);
    CHECK(e.sqlstate() == "23505");
    CHECK(e.operation() == "save");
    CHECK(std::string(e.what()) ==
          "save: duplicate key value violates unique constraint \"k\" (SQLSTATE 23505)");
}

TEST_CASE("a hint is kept", "[schema]") {
    const auto e = translated(pqxx::sql_error("ERROR:  cannot use serializable mode in a hot standby\n"
                                              "HINT:  You can use REPEATABLE READ instead.\n",
                                              "BEGIN", "0A000"));
    CHECK(std::string(e.what()) == "save: cannot use serializable mode in a hot standby; hint: You can use "
                                   "REPEATABLE READ instead. (SQLSTATE 0A000)");
}

TEST_CASE("insufficient_privilege, which may come without its SQLSTATE, gets it", "[schema]") {
    const auto e = translated(pqxx::insufficient_privilege("ERROR:  permission denied for table t\n", "q"),
                              [](std::string_view sqlstate) { return "about " + std::string(sqlstate); });
    CHECK(e == sqlstate::insufficient_privilege);
    CHECK(std::string(e.what()) == "save: permission denied for table t; about 42501 (SQLSTATE 42501)");
}

TEST_CASE("lost connections are unavailable, in a commit outcome_unknown", "[schema]") {
    CHECK(translated(pqxx::broken_connection("gone")) == errc::unavailable);
    CHECK(translated(pqxx::sql_error("gone", "q")) == errc::unavailable);
    const auto full = translated(pqxx::too_many_connections("FATAL:  sorry, too many clients already\n"));
    CHECK(full == errc::unavailable);
    CHECK(full.sqlstate() == "53300");
    CHECK(translated(pqxx::in_doubt_error("gone")) == errc::outcome_unknown);
    CHECK(translated(pqxx::statement_completion_unknown("ERROR:  ?", "COMMIT", "40003")) ==
          errc::outcome_unknown);
    CHECK(translated(pqxx::protocol_violation("ERROR:  bind message supplies 1 parameters\n")).sqlstate() ==
          "08P01");
}

TEST_CASE("an error stays as it is, and what is none of pqxx's passes through", "[schema]") {
    const auto e = translated(error(errc::conflict, "save", "was first"));
    CHECK(e == errc::conflict);
    CHECK(std::string(e.what()) == "save: was first");
    CHECK_THROWS_AS(translated(std::length_error("own")), std::length_error);
}
