#include "pgstate/version.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

TEST_CASE("the version as text and as a number, of the headers and of the library, is one", "[version]") {
    const std::string text = PGSTATE_VERSION_STRING;
    CHECK(text == std::to_string(PGSTATE_VERSION_MAJOR) + '.' + std::to_string(PGSTATE_VERSION_MINOR) + '.' +
                      std::to_string(PGSTATE_VERSION_PATCH));
    CHECK(PGSTATE_VERSION ==
          10'000 * PGSTATE_VERSION_MAJOR + 100 * PGSTATE_VERSION_MINOR + PGSTATE_VERSION_PATCH);
    CHECK(pgstate::version() == PGSTATE_VERSION);
}
