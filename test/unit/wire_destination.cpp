#include "wire/session.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using pgstate::wire::destination_of;

TEST_CASE("where a connection string leads is what telemetry shows, and no more of it", "[telemetry]") {
    struct row {
        std::string conninfo;
        std::string address;
        int port;
        std::string database;
    };
    for (const auto& one : {
             row{"postgres://app:secret@db.example:6543/agents", "db.example", 6543, "agents"},
             row{"postgres://app@one:6001,two:6002/agents?target_session_attrs=read-write", "one", 6001,
                 "agents"},
             row{"host=/run/pg port=5433 dbname='my agents' user=app", "/run/pg", 5433, "my agents"},
             row{"hostaddr=10.0.0.7 port=5434 user=app dbname=d", "10.0.0.7", 5434, "d"},
             row{"postgres://app@db:7000", "db", 7000, "app"}, // libpq: the database is called as the user
         }) {
        CAPTURE(one.conninfo);
        const auto to = destination_of(one.conninfo);
        CHECK(to.address == one.address);
        CHECK(to.port == one.port);
        CHECK(to.database == one.database);
    }
}
