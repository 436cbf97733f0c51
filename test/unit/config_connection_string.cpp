#include "config/connection_string.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using pgstate::settings::pool_setting;
using pgstate::settings::split;

struct accepted {
    std::string_view before;
    std::string_view after;
    std::vector<pool_setting> settings{};
};

void check_accepted(const std::vector<accepted>& cases) {
    for (const auto& one : cases) {
        CAPTURE(one.before);
        const auto result = split(one.before);
        CHECK(result.libpq_conninfo == one.after);
        CHECK(result.pool_settings == one.settings);
    }
}

std::string refusal(std::string_view text) {
    const auto failure = pgstate_test::failure_of([&] { split(text); });
    CHECK(failure == pgstate::errc::invalid_argument);
    CHECK(failure.operation() == "config");
    return failure.what();
}

const pool_setting max_conns_5{"pool_max_conns", "5"};
const pool_setting min_conns_2{"pool_min_conns", "2"};

} // namespace

TEST_CASE("a URI without pool settings stays byte for byte as it was", "[config]") {
    for (const std::string_view uri : {
             "postgres://",
             "postgresql://",
             "postgres://localhost",
             "postgres://localhost/",
             "postgres://localhost/?",
             "postgres://localhost?",
             "postgres:///db",
             "postgres://user@",
             "postgres://@/db",
             "postgres://user:secret@localhost:5432/db",
             "postgres://user:@localhost:/db",
             "postgresql://user:p%40ss%2Fw%25ord@localhost/db",
             "postgres://user:a:b:c@localhost/db",
             "postgres://user:p?pool_max_conns=5@localhost/db",
             "postgres://user:p?a&pool_max_conns=5@localhost/db?sslmode=require",
             "postgres://pool_max_conns=5:pool_min_conns=2@localhost",
             "postgres://localhost/pool_max_conns=5",
             "postgres://localhost/db/pool_max_conns=5&pool_min_conns=2",
             "postgres://a:1,b:2,c/db?target_session_attrs=read-write",
             "postgres://user@[::1]:5432/db",
             "postgres://[2001:db8::1],[fe80::1%25eth0]:5433/db?sslmode=disable",
             "postgres://[::1]?host=x",
             "postgres://%2Fvar%2Frun%2Fpostgresql:5433/db",
             "postgres://@@abstract/db",
             "postgres:///db?host=/var/run/postgresql&port=5433",
             "postgresql://localhost/db?service=mine&options=-c%20search_path%3Dpool_max_conns",
             "postgresql://localhost/db?application_name=pool_max_conns&sslmode=require",
             "postgresql://localhost/db?a=1&",
             "postgresql://localhost/db?spool_max_conns=5&POOL_MAX_CONNS=5",
             "postgresql://localhost/db?a=b?pool_max_conns",
             "postgresql://localhost/db?ssl=true", // libpq's for sslmode=require
         }) {
        check_accepted({{uri, uri}});
    }
}

TEST_CASE("pool settings are taken out of a URI's query", "[config]") {
    check_accepted({
        {"postgres://h/db?pool_max_conns=5", "postgres://h/db", {max_conns_5}},
        {"postgres://h?pool_max_conns=5", "postgres://h", {max_conns_5}},
        {"postgres://?pool_max_conns=5", "postgres://", {max_conns_5}},
        {"postgres://h/?pool_max_conns=5", "postgres://h/", {max_conns_5}},
        {"postgres://h/db?pool_max_conns=5&", "postgres://h/db", {max_conns_5}},
        {"postgres://h/db?pool_max_conns=5&pool_min_conns=2", "postgres://h/db", {max_conns_5, min_conns_2}},
        {"postgres://h/db?pool_max_conns=5&a=1", "postgres://h/db?a=1", {max_conns_5}},
        {"postgres://h/db?a=1&pool_max_conns=5", "postgres://h/db?a=1", {max_conns_5}},
        {"postgres://h/db?a=1&pool_max_conns=5&", "postgres://h/db?a=1", {max_conns_5}},
        {"postgres://h/db?a=1&pool_max_conns=5&b=2", "postgres://h/db?a=1&b=2", {max_conns_5}},
        {"postgres://h/db?pool_max_conns=5&a=%31&pool_min_conns=2&b=&",
         "postgres://h/db?a=%31&b=&",
         {max_conns_5, min_conns_2}},
        {"postgres://u:p?w&=@h/db?pool_max_conns=5", "postgres://u:p?w&=@h/db", {max_conns_5}},
        {"postgres://u:p%3Fpool@[::1]:1,h:2/db?pool_max_conns=5&a=1",
         "postgres://u:p%3Fpool@[::1]:1,h:2/db?a=1",
         {max_conns_5}},
        {"postgres://[::1]?pool_max_conns=5", "postgres://[::1]", {max_conns_5}},
        {"postgres://%2Ftmp/?pool_max_conns=5", "postgres://%2Ftmp/", {max_conns_5}},
        {"postgres://h:1?pool_max_conns=5", "postgres://h:1", {max_conns_5}},
        {"postgres://u@?pool_max_conns=5", "postgres://u@", {max_conns_5}},
        // Repeated: all are reported, the last one counts.
        {"postgres://h?pool_max_conns=1&pool_max_conns=5",
         "postgres://h",
         {{"pool_max_conns", "1"}, max_conns_5}},
        // Escapes are undone, in names as well; blanks around either are not part of it; '+' is no blank.
        {"postgres://h?pool%5Fmax_conns=%35", "postgres://h", {max_conns_5}},
        {"postgres://h?%70ool_max_conns=5", "postgres://h", {max_conns_5}},
        {"postgres://h? pool_max_conns = 5 &a=1", "postgres://h?a=1", {max_conns_5}},
        {"postgres://h?pool_max_conn_lifetime=1h+2%2B3%c2%b5s",
         "postgres://h",
         {{"pool_max_conn_lifetime", "1h+2+3\xC2\xB5s"}}},
        {"postgres://h?pool_what=&a=1", "postgres://h?a=1", {{"pool_what", ""}}},
    });
}

TEST_CASE("keyword/value pairs without pool settings stay byte for byte as they were", "[config]") {
    for (const std::string_view pairs :
         {"host=localhost", "  host = localhost\tport\n=\v5433 ",
          "host=localhost password='it\\'s pool_max_conns=5 inside'", "password=pool_max_conns=5",
          "password=a\\ pool_max_conns=5", "password='a''b'=c", "password='x'host=h", "password= host=h",
          "password='' host=h", "password=", "password=trailing\\", "password=a://b",
          "host=/var/run/postgresql,localhost port=5433,5434 target_session_attrs=read-write", "service=mine",
          "spool_max_conns=5 POOL_MAX_CONNS=5", "=5", "password='\\\\'", "host=h pass'word=x"}) {
        check_accepted({{pairs, pairs}});
    }
}

TEST_CASE("pool settings are taken out of keyword/value pairs", "[config]") {
    check_accepted({
        {"pool_max_conns=5", "", {max_conns_5}},
        {" pool_max_conns=5 ", "", {max_conns_5}},
        {"pool_max_conns=5 pool_min_conns=2", "", {max_conns_5, min_conns_2}},
        {"pool_max_conns=5 host=h", "host=h", {max_conns_5}},
        {"host=h pool_max_conns=5", "host=h", {max_conns_5}},
        {"host=h  pool_max_conns=5  pool_min_conns=2\n", "host=h", {max_conns_5, min_conns_2}},
        {"host=h pool_max_conns=5 port=1", "host=h port=1", {max_conns_5}},
        {"  host=h\tpool_max_conns = '5'   port=1  ", "  host=h\tport=1  ", {max_conns_5}},
        {"host='h'pool_max_conns='5'port=1", "host='h'port=1", {max_conns_5}},
        {"host=h pool_max_conns='5'port=1", "host=h port=1", {max_conns_5}},
        // A blank behind a backslash belongs to the value before the setting.
        {"password=a\\  pool_max_conns=5", "password=a\\ ", {max_conns_5}},
        {"password='a\\' pool_min_conns=9 ' pool_max_conns=5",
         "password='a\\' pool_min_conns=9 '",
         {max_conns_5}},
        {"password=\"a pool_max_conns=5", "password=\"a", {max_conns_5}},
        {"password= pool_max_conns=5", "password= pool_max_conns=5"},
        {"password='' pool_max_conns=5", "password=''", {max_conns_5}},
        {"pool_max_conns=\\5", "", {max_conns_5}},
        {"pool_max_conns='\\5'", "", {max_conns_5}},
        {"pool_max_conns=5\\", "", {max_conns_5}},
        {"pool_max_conns=", "", {{"pool_max_conns", ""}}},
        {"pool_max_conns='1 h' a=b", "a=b", {{"pool_max_conns", "1 h"}}},
        {"pool_max_conns=1 a=b pool_max_conns=5", "a=b", {{"pool_max_conns", "1"}, max_conns_5}},
    });
}

TEST_CASE("a connection string says whether it has a connect_timeout", "[config]") {
    for (const std::string_view with :
         {"connect_timeout=3", "host=h connect_timeout = '3'",
          "connect_timeout=", "postgres://h?connect_timeout=3", "postgres://h?a=1&connect%5Ftimeout=3&b=2",
          "postgres://h?pool_max_conns=5&connect_timeout=3"}) {
        CAPTURE(with);
        CHECK(split(with).connect_timeout_given);
    }
    for (const std::string_view without :
         {"host=connect_timeout", "password='connect_timeout=3'", "postgres://h",
          "postgres://connect_timeout=3@h/x", "postgres://h?a=connect_timeout", "pool_connect_timeout=3"}) {
        CAPTURE(without);
        CHECK_FALSE(split(without).connect_timeout_given);
    }
}

TEST_CASE("an empty connection string is refused", "[config]") {
    for (const std::string_view empty : {"", " ", "\t\n\v\f\r "}) {
        CHECK(refusal(empty).find("connection_string is empty; give a URI") != std::string::npos);
    }
}

TEST_CASE("a malformed connection string is refused, by its fault and without a word of it", "[config]") {
    using namespace std::string_view_literals;
    struct malformed {
        std::string_view fault;
        std::vector<std::string_view> texts;
    };
    for (const auto& [fault, texts] : std::vector<malformed>{
             {"closing quote",
              {"host=h password='hunter2", "host=h password='hunter2\\'", "host=h password='hunter2\\"}},
             {"no '='",
              {"host=h password=my hunter2", "hunter2", "hunter2 ", "host=h hunter2 dbname=x",
               "postgres://u:hunter2@h/db?hunter2", "postgres://u:hunter2@h/db?&a=b",
               "postgres://u:hunter2@h/db?a=b&&c=d"}},
             {"NUL",
              {"host=h password=hunter2\0 dbname=x"sv, "postgres://u:hunter2\0@h"sv,
               "postgres://u:hunter2%00@h"}},
             {"%25",
              {"postgres://u:hunter2%@h", "postgres://u:hunter2%2@h", "postgres://u:hunter2%g0@h",
               "postgres://u:hunter2%0g@h", "postgres://u:p@h/hunter2%", "postgres://u:p@h/db?a=hunter2%4",
               "postgres://u:p@h/db?pool_max_conns=%hunter2"}},
             {"second '='", {"postgres://u:hunter2@h/db?password=a=hunter2"}},
             {"closing ']'", {"postgres://u:hunter2@[::1/db"}},
             {"is empty", {"postgres://u:hunter2@[]/db"}},
             {"followed by", {"postgres://u:hunter2@[::1]hunter2/db"}},
             {"%40", {"postgres://u:pass@hunter2@h/db"}},
             {"not a number",
              {"postgres://u:hunter2/x@h/db", "postgres://u:p@h:hunter2/db", "postgres://u:p@h: /db"}},
             {"from 1 to 65535", {"postgres://u:p@h:0", "postgres://u:p@a:1,h:65536"}},
             {"postgres:// or postgresql://",
              {"postgres+asyncpg://u:hunter2@h/db", "mysql://u:hunter2@h/db"}},
             {"lower case", {"POSTGRES://u:hunter2@h/db"}},
             {"a JDBC URL",
              {"jdbc:postgresql://u:hunter2@h/db", "jdbc:postgresql://h/db?user=u&password=hunter2",
               " jdbc:postgresql:db", "pool_max_conns=1 jdbc:postgresql://h/db?password=hunter2"}},
             {"before or after the URI",
              {" postgres://u:hunter2@h/db", "\tpostgres://u:hunter2@h", "postgres://u:hunter2@h/db ",
               "postgres://u:hunter2@h/db\n", "postgres://u:hunter2@h/db?sslmode=disable\r\n",
               "postgres://u:hunter2@h/db ?pool_max_conns=1", "postgres://u:hunter2@h?pool_max_conns=1 "}},
             {"sslmode=require",
              {"postgres://u:hunter2@h/db?ssl=require", "postgres://u:hunter2@h?ssl=1&a=b",
               "postgres://u:hunter2@h?%73sl=no-verify", "host=h password=hunter2 ssl=false"}},
             {"config.table_name",
              {"postgres://u:hunter2@h/db?schema=hunter2",
               "postgres://u:hunter2@h/db?a=b&currentSchema=hunter2",
               "postgres://u:hunter2@h/db?search_path=hunter2", "host=h schema=hunter2"}},
             {"a URI among",
              {"pool_max_conns=1 postgres://u:hunter2@h/db?sslmode=require", "host=h x://u:hunter2=3"}},
         })
        for (const auto text : texts) {
            CAPTURE(text);
            const auto message = refusal(text);
            CHECK(message.starts_with("config: connection_string"));
            CHECK(message.find(fault) != std::string::npos);
            CHECK(message.find("hunter") == std::string::npos);
        }
}

TEST_CASE("ports with blanks around them and no ports are left to libpq", "[config]") {
    check_accepted({{"postgres://h:5432 /db", "postgres://h:5432 /db"},
                    {"postgres://h:,i:65535/", "postgres://h:,i:65535/"}});
}

namespace {

/// Makes random connection strings from pieces, with and without pool settings between them.
class generator {
public:
    explicit generator(unsigned seed) : random_(seed) {}

    std::size_t below(std::size_t limit) {
        return std::uniform_int_distribution<std::size_t>(0, limit - 1)(random_);
    }

    std::string from(std::string_view alphabet, std::size_t most) {
        std::string text;
        for (auto left = below(most + 1); left > 0; --left)
            text += alphabet[below(alphabet.size())];
        return text;
    }

    std::string value() {
        static constexpr std::string_view odd = "ab=&?@%/:'\"\\ pool_\xC3\xA9";
        auto plain = from(odd, 12);
        std::string written;
        const bool quoted = plain.empty() || below(2) == 0;
        for (const char c : plain) {
            if (c == '\\' || c == '\'' || (!quoted && c == ' ')) written += '\\';
            written += c;
        }
        return quoted ? "'" + written + "'" : written;
    }

    std::string escaped() {
        static constexpr std::string_view safe = "abcpool_-.~!$*();\"' ";
        static constexpr std::string_view digits = "0123456789abcdefABCDEF";
        std::string text;
        for (auto left = below(10); left > 0; --left) {
            if (below(4) == 0)
                text += {'%', digits[1 + below(digits.size() - 1)], digits[below(digits.size())]};
            else
                text += safe[below(safe.size())];
        }
        return text;
    }

    std::string name() { return "k" + from("abpool_", 8); }

private:
    std::mt19937 random_;
};

/// That `plain` stays as it is, and that this and `settings` are what `mixed` is split into.
void check_taken(const std::string& plain, const std::string& mixed,
                 const std::vector<pool_setting>& settings) {
    CAPTURE(plain, mixed);
    const auto unchanged = split(plain);
    REQUIRE(unchanged.libpq_conninfo == plain);
    REQUIRE(unchanged.pool_settings.empty());
    const auto taken = split(mixed);
    REQUIRE(taken.libpq_conninfo == plain);
    REQUIRE(taken.pool_settings == settings);
}

} // namespace

TEST_CASE("random keyword/value pairs keep every byte that is not a pool setting's", "[config]") {
    generator make(20'240'601);
    for (int round = 0; round < 5'000; ++round) {
        std::string plain = make.from(" \t\n", 2);
        std::string mixed = plain;
        std::vector<pool_setting> settings;
        for (auto pairs = 1 + make.below(5); pairs > 0; --pairs) {
            while (make.below(2) == 0) {
                mixed += "pool_max_conns" + make.from(" \n", 1) + "=" + make.from(" \t", 2) + "'5'" +
                         make.from(" ", 2);
                settings.push_back(max_conns_5);
            }
            const auto pair = make.name() + make.from(" \t", 2) + "=" + make.from(" \n", 2) + make.value() +
                              (pairs == 1 ? "" : " ") + make.from(" \n", 1);
            plain += pair;
            mixed += pair;
        }
        check_taken(plain, mixed, settings);
    }
}

TEST_CASE("random URIs keep every byte that is not a pool setting's", "[config]") {
    generator make(20'240'602);
    for (int round = 0; round < 5'000; ++round) {
        std::string start = make.below(2) == 0 ? "postgres://" : "postgresql://";
        if (make.below(2) == 0) start += make.escaped() + ":" + make.escaped() + "?&=" + make.escaped() + "@";
        for (auto hosts = 1 + make.below(3); hosts > 0; --hosts) {
            start += make.below(3) == 0 ? "[" + make.from("0123:f", 8) + "1]" : make.escaped();
            if (make.below(2) == 0) start += ":" + std::to_string(1 + make.below(65'535));
            if (hosts > 1) start += ",";
        }
        if (make.below(2) == 0) start += "/" + make.escaped();

        std::vector<std::string> kept;
        std::vector<std::string> mixed;
        std::vector<pool_setting> settings;
        for (auto parameters = make.below(4); parameters > 0; --parameters) {
            kept.push_back(make.name() + "=" + make.escaped());
            mixed.push_back(kept.back());
            if (make.below(2) == 0) {
                mixed.insert(mixed.begin() + static_cast<std::ptrdiff_t>(make.below(mixed.size() + 1)),
                             "pool_max_conns=%35");
                settings.push_back(max_conns_5);
            }
        }
        const auto join = [&](const std::vector<std::string>& parameters) {
            auto uri = start;
            for (const auto& parameter : parameters)
                uri += (&parameter == &parameters.front() ? "?" : "&") + parameter;
            return uri;
        };
        const auto plain = join(kept);
        if (plain.back() == ' ')
            CHECK(refusal(std::string_view(plain)).find("after the URI") != std::string::npos);
        else
            check_taken(plain, join(mixed), settings);
    }
}
