#include "batch/retry.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace {

using pgstate::batch::incident;
using pgstate::batch::most_attempts;
using pgstate::batch::verdict;

struct row {
    std::string_view sqlstate;
    bool broken;
    bool write;
    std::size_t operations;
    std::size_t attempts;
    verdict expected;
};

void check(const std::vector<row>& table) {
    for (const auto& one : table) {
        CAPTURE(one.sqlstate, one.broken, one.write, one.operations, one.attempts);
        incident what;
        what.write = one.write;
        what.operations = one.operations;
        what.attempts = one.attempts;
        what.broken = one.broken;
        what.failure.sqlstate = std::string(one.sqlstate);
        CHECK(pgstate::batch::decide(what) == one.expected);
    }
}

} // namespace

TEST_CASE("a write on a lost connection may have been applied: that is to be found out", "[retry]") {
    for (const std::string_view farewell : {"", "57P01", "57P02", "57P03", "08006", "08P01"})
        check({
            {farewell, true, true, 1, 1, verdict::settle},
            {farewell, true, true, 20, 1, verdict::settle},
            {farewell, true, true, 1, most_attempts, verdict::settle},
        });
}

TEST_CASE("a read on a lost connection goes to another", "[retry]") {
    for (const std::string_view farewell : {"", "57P01", "57P02", "57P03", "08006", "08P01"})
        check({
            {farewell, true, false, 1, 1, verdict::retry_another},
            {farewell, true, false, 20, 1, verdict::retry_another},
            {farewell, true, false, 1, most_attempts - 1, verdict::retry_another},
            {farewell, true, false, 1, most_attempts, verdict::fail},
            {farewell, true, false, 20, most_attempts, verdict::fail},
        });
}

TEST_CASE("a statement that was refused before the connection was lost is rolled back", "[retry]") {
    check({
        {"40001", true, true, 1, 1, verdict::retry},
        {"40P01", true, true, 20, 1, verdict::retry},
        {"25006", true, true, 1, 1, verdict::retry_another},
        {"26000", true, true, 1, 1, verdict::retry_now},
        {"23514", true, true, 1, 1, verdict::fail},
        {"23514", true, true, 2, 1, verdict::retry_alone},
        {"57014", true, true, 1, 1, verdict::fail}, // a cancelled statement is no farewell
    });
}

TEST_CASE("serialization failures and deadlocks are sent again after a pause", "[retry]") {
    for (const std::string_view sqlstate : {"40001", "40P01"})
        for (const bool write : {false, true})
            check({
                {sqlstate, false, write, 1, 1, verdict::retry},
                {sqlstate, false, write, 20, 1, verdict::retry},
                {sqlstate, false, write, 1, most_attempts - 1, verdict::retry},
                {sqlstate, false, write, 1, most_attempts, verdict::fail},
                {sqlstate, false, write, 20, most_attempts, verdict::retry_alone},
            });
}

TEST_CASE("a server that only reads is left for another", "[retry]") {
    check({
        {"25006", false, true, 1, 1, verdict::retry_another},
        {"25006", false, true, 20, 1, verdict::retry_another},
        {"25006", false, true, 1, most_attempts - 1, verdict::retry_another},
        {"25006", false, true, 1, most_attempts, verdict::fail},
        {"25006", false, true, 20, most_attempts, verdict::retry_alone},
    });
}

TEST_CASE("lost or outdated prepared statements are prepared anew, each of an exchange's two once",
          "[retry]") {
    for (const std::string_view sqlstate : {"26000", "0A000"})
        for (const bool write : {false, true})
            check({
                {sqlstate, false, write, 1, 1, verdict::retry_now},
                {sqlstate, false, write, 20, 1, verdict::retry_now},
                {sqlstate, false, write, 1, 2, verdict::retry_now},
                {sqlstate, false, write, 20, 2, verdict::retry_now},
                {sqlstate, false, write, 1, 3, verdict::fail},
                {sqlstate, false, write, 20, 3, verdict::retry_alone},
                {sqlstate, false, write, 1, most_attempts, verdict::fail},
            });
}

TEST_CASE("of several operations each is tried alone; one alone fails", "[retry]") {
    for (const std::string_view sqlstate :
         {"23514", "22P05", "42P01", "42501", "57014", "53300", "57P01", ""})
        for (const bool write : {false, true})
            check({
                {sqlstate, false, write, 1, 1, verdict::fail},
                {sqlstate, false, write, 2, 1, verdict::retry_alone},
                {sqlstate, false, write, 256, 1, verdict::retry_alone},
                {sqlstate, false, write, 1, most_attempts, verdict::fail},
            });
}
