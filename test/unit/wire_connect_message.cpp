#include "wire/connect_message.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <string_view>

using pgstate::wire::conninfo_refusal;
using pgstate::wire::is_permanent_connect_failure;
using pgstate::wire::parse_connect_failure;

TEST_CASE("the SQLSTATE is taken out of a server's refusal, and the message is one line",
          "[connect_message]") {
    struct refusal {
        std::string_view what;
        std::string text;
        std::string sqlstate;
        std::string message;
    };
    const std::string to_db = "connection to server at \"db\" (10.0.0.1), port 5432 failed: ";
    const std::string to_a = "connection to server at \"a\", port 1 failed: ";
    const std::string to_b = "connection to server at \"b\", port 2 failed: ";
    const std::string starting = "the database system is starting up";
    for (
        const auto& one : {
            refusal{"with a location",
                    to_db + "FATAL:  28P01: password authentication failed for user \"app\"\n"
                            "LOCATION:  auth_failed, auth.c:335\n",
                    "28P01", to_db + "FATAL:  password authentication failed for user \"app\""},
            refusal{
                "with detail, hint and location",
                "connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  57P03: the database system is not "
                "accepting connections\n"
                "DETAIL:  Hot standby mode is disabled.\n"
                "HINT:  Ask somebody.\n"
                "LOCATION:  ProcessStartupPacket, postmaster.c:2401\n",
                "57P03",
                "connection to server on socket \"/run/.s.PGSQL.5432\" failed: FATAL:  the database system is "
                "not accepting connections"},
            refusal{"in another language",
                    "Verbindung fehlgeschlagen: FATAL:  3D000: Datenbank existiert nicht", "3D000",
                    "Verbindung fehlgeschlagen: FATAL:  Datenbank existiert nicht"},
            refusal{"with another severity", "SCHWERWIEGEND:  53300: zu viele", "53300",
                    "SCHWERWIEGEND:  zu viele"},
            refusal{"without a server",
                    to_db + "Connection refused\n"
                            "\tIs the server running on that host and accepting TCP/IP connections?\n",
                    "",
                    to_db + "Connection refused; Is the server running on that host and accepting TCP/IP "
                            "connections?"},
            refusal{"nothing", "", "", ""},
            refusal{"blank lines", "\n \n\t\n", "", ""},
            refusal{"no host", "could not translate host name", "", "could not translate host name"},
            refusal{"what looks like one before it", "odd:  name failed: FATAL:  28P01: no", "28P01",
                    "odd:  name failed: FATAL:  no"},
            // Of several hosts all are told, and the last one's SQLSTATE counts.
            refusal{"unreachable, then refused",
                    to_a + "Connection refused\n\tIs the server running?\n" + to_b +
                        "FATAL:  3D000: database \"x\" does not exist\n"
                        "LOCATION:  InitPostgres, postinit.c:885\n",
                    "3D000",
                    to_a + "Connection refused; Is the server running?; " + to_b +
                        "FATAL:  database \"x\" does not exist"},
            refusal{"refused twice",
                    to_a + "FATAL:  57P03: " + starting +
                        "\nLOCATION:  ProcessStartupPacket, postmaster.c:2401\n" + to_b +
                        "FATAL:  53300: too many\nLOCATION:  InitPostgres, postinit.c:1\n",
                    "53300", to_a + "FATAL:  " + starting + "; " + to_b + "FATAL:  too many"},
            refusal{"refused, then unreachable",
                    to_a + "FATAL:  57P03: " + starting +
                        "\nLOCATION:  ProcessStartupPacket, postmaster.c:2401\n" + to_b +
                        "Connection refused\n\tIs the server running?\n",
                    "",
                    to_a + "FATAL:  " + starting + "; " + to_b +
                        "Connection refused; Is the server running?"},
        }) {
        CAPTURE(one.what);
        const auto failure = parse_connect_failure(one.text);
        CHECK(failure.sqlstate == one.sqlstate);
        CHECK(failure.message == one.message);
    }
}

TEST_CASE("only five capitals and digits in their place are a SQLSTATE", "[connect_message]") {
    for (const std::string_view text :
         {"FATAL:  28p01: no", "FATAL:  28P0: no", "FATAL:  28P012: no", "FATAL: 28P01: no",
          "FATAL:  28P01 no", "FATAL:  28P01", "FATAL:  28P01:", "FATAL:  "}) {
        CAPTURE(text);
        const auto failure = parse_connect_failure(text);
        CHECK(failure.sqlstate.empty());
        CHECK(failure.message == text);
    }
}

TEST_CASE("libpq's refusal of an option is passed on", "[connect_message]") {
    CHECK(conninfo_refusal("invalid connection option \"hots\"\n") ==
          "libpq refuses it: invalid connection option \"hots\"");
    CHECK(conninfo_refusal("invalid URI query parameter: \"hots\"") ==
          "libpq refuses it: invalid URI query parameter: \"hots\"");
    CHECK(conninfo_refusal("invalid connection option \"hots\"\nsecret") ==
          "libpq refuses it: invalid connection option \"hots\"");
}

TEST_CASE("libpq's other refusals, which quote the string, are not passed on", "[connect_message]") {
    for (const std::string_view text :
         {"missing \"=\" after \"hunter2\" in connection info string\n",
          "invalid percent-encoded token: \"hunter2%zz\"\n",
          "forbidden value %00 in percent-encoded value: \"hunter2%00\"\n",
          "unexpected character \"h\" at position 5 in URI (expected \":\" or \"/\"): "
          "\"postgres://u:hunter2@[::1]x\"\n",
          "extra key/value separator \"=\" in URI query parameter: \"hunter2\"\n",
          "missing key/value separator \"=\" in URI query parameter: \"hunter2\"\n",
          "hunter2: invalid connection option \"x\"\n", "hunter2", ""}) {
        CAPTURE(text);
        const auto told = conninfo_refusal(text);
        CHECK(told.find("hunter2") == std::string::npos);
        CHECK(told.find("cannot parse it") != std::string::npos);
    }
}

TEST_CASE("which failed connects stay failed until somebody changes something", "[connect_message]") {
    for (const std::string_view sqlstate : {"28000", "28P01", "3D000", "42501", "0A000", "42704", "22023"}) {
        CAPTURE(sqlstate);
        CHECK(is_permanent_connect_failure(sqlstate));
    }
    for (const std::string_view sqlstate :
         {"", "57P03", "57P01", "53300", "08006", "08001", "XX000", "2", "25006"}) {
        CAPTURE(sqlstate);
        CHECK_FALSE(is_permanent_connect_failure(sqlstate));
    }
}

TEST_CASE("a name that may be a piece of the password is not repeated", "[connect_message]") {
    const auto tells = [](const char* message, const char* conninfo) {
        return conninfo_refusal(message, conninfo).find("secret") != std::string::npos;
    };
    CHECK_FALSE(tells("invalid connection option \"secret\"\n", "host=h password=my secret=1"));
    CHECK_FALSE(tells("invalid URI query parameter: \"secret\"\n", "postgres://u:my?secret=1@h/d"));
    CHECK(tells("invalid connection option \"secret\"\n", "secret=1 password=x"));
    CHECK(tells("invalid URI query parameter: \"secret\"\n", "postgres://u:x@h/d?secret=1"));
}
