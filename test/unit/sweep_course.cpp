#include "postgres/sweep_course.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace {

using pgstate::errc;
using pgstate::error;
using pgstate::postgres::sweep_course;
using pgstate::postgres::sweep_outcome;
using pgstate::postgres::sweep_position;
using pgstate::postgres::sweep_request;
using pgstate::postgres::swept;

/// Expired rows of which some are protected, and the server's answers.
class sweep_table {
public:
    explicit sweep_table(int count) {
        for (int i = 0; i < count; ++i)
            rows.insert(i);
    }

    pgstate::result<swept> answer(const sweep_request& asked) {
        ++statements;
        if (refuses_all) return error::from_server("42501", "sweep", "permission denied");
        std::vector<int> found;
        for (const auto row : rows)
            if (found.size() < asked.most && (!asked.behind || row > number(*asked.behind)) &&
                (!asked.up_to || row <= number(*asked.up_to)))
                found.push_back(row);
        swept done{0, true, static_cast<std::int64_t>(found.size())};
        if (!found.empty()) done.last = position(found.back());
        if (asked.what == sweep_request::kind::survey) return done;
        if (std::ranges::any_of(found, [&](int row) { return refused.contains(row); }))
            return error::from_server("23503", "sweep", "is still referenced");
        for (const auto row : found)
            if (!kept.contains(row)) {
                rows.erase(row);
                ++done.rows;
            }
        return done;
    }

    /// One look: until the course has nothing more to do for the moment.
    sweep_outcome look(sweep_course& course) {
        for (;;) {
            const auto how = course.over(answer(course.next()));
            if (how != sweep_outcome::full) return how;
            REQUIRE(statements < 1'000'000);
        }
    }

    std::set<int> rows, refused, kept;
    bool refuses_all = false;
    int statements = 0;

private:
    static int number(const sweep_position& at) { return std::stoi(at.session_id); }
    static sweep_position position(int row) {
        return {pgstate::timestamp(std::chrono::microseconds(row)), "a", std::to_string(row)};
    }
};

} // namespace

TEST_CASE("without protected rows each statement deletes a batch", "[sweep]") {
    sweep_table table(1000);
    sweep_course course(100);
    CHECK(table.look(course) == sweep_outcome::rest);
    CHECK(table.rows.empty());
    CHECK(table.statements == 11);
    CHECK(course.protected_rows() == 0);
    CHECK_FALSE(course.expects_failure());
}

TEST_CASE("protected rows are passed over, wherever they are", "[sweep]") {
    const std::set<int> some =
        GENERATE(std::set<int>{0}, std::set<int>{999}, std::set<int>{0, 1, 2, 500, 998, 999},
                 std::set<int>{99, 100, 101}, std::set<int>{42});
    const bool refused = GENERATE(true, false);
    const std::size_t batch = GENERATE(1U, 2U, 7U, 100U, 1000U, 5000U);
    CAPTURE(some, refused, batch);
    sweep_table table(1000);
    (refused ? table.refused : table.kept) = some;
    sweep_course course(batch);
    CHECK(table.look(course) == sweep_outcome::rest);
    CHECK(table.rows == some);
    CHECK(course.protected_rows() == some.size());
    CHECK(course.refusal() == (refused ? "23503" : ""));
    CHECK(table.statements < 1000 / static_cast<int>(batch) * 4 + 60 * static_cast<int>(some.size()) + 10);
}

TEST_CASE("some rows that are refused and some that are kept", "[sweep]") {
    sweep_table table(300);
    table.refused = {3, 77, 299};
    table.kept = {4, 78, 150};
    sweep_course course(50);
    CHECK(table.look(course) == sweep_outcome::rest);
    CHECK(table.rows == std::set<int>{3, 4, 77, 78, 150, 299});
    CHECK(course.protected_rows() == 6);
}

TEST_CASE("protected rows are tried again less and less often, and others go at once", "[sweep]") {
    sweep_table table(10);
    table.refused = {2, 3};
    sweep_course course(5);
    int tries = 0;
    for (int look = 0; look < 100; ++look) {
        table.rows.insert(100 + look);
        const auto before = table.statements;
        table.look(course);
        CHECK(table.rows == std::set<int>{2, 3});
        CHECK(course.protected_rows() == 2);
        if (table.statements - before > 2) ++tries;
    }
    CHECK(tries >= 4);
    CHECK(tries <= 12);
    table.refused.clear();
    for (int look = 0; look < 20; ++look)
        table.look(course);
    CHECK(table.rows.empty());
    CHECK(course.protected_rows() == 0);
    CHECK_FALSE(course.expects_failure());
}

TEST_CASE("a statement that is refused whatever the rows is a failure", "[sweep]") {
    sweep_table table(10);
    table.refuses_all = true;
    sweep_course course(5);
    for (int look = 0; look < 3; ++look)
        CHECK(table.look(course) == sweep_outcome::failed);
    CHECK(table.statements == 6); // each time once more without rows
    table.refuses_all = false;
    CHECK(table.look(course) == sweep_outcome::rest);
    CHECK(table.rows.empty());
}

TEST_CASE("failures that concern no row end a look", "[sweep]") {
    sweep_course course(5);
    for (const char* state : {"40001", "53200", "57014", "55P03", "25006", "XX000"})
        CHECK(course.over(error::from_server(state, "sweep", "")) == sweep_outcome::failed);
    CHECK(course.over(error(errc::timed_out, "sweep")) == sweep_outcome::failed);
    CHECK(course.over(swept{0, false}) == sweep_outcome::lost);
}
