#include "integration/other_program.hpp"
#include "pgstate/embedded_server.hpp"
#include "pgstate/error.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pqxx/pqxx>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace {

namespace fs = std::filesystem;
using Catch::Matchers::ContainsSubstring;
using pgstate::embedded_server;
using pgstate::embedded_server_options;
using pgstate_test::other_program;
using pgstate_test::server;

// A directory that every user may pass, for the data directories that tests keep.
class scratch_directory {
public:
    scratch_directory() : path_((fs::temp_directory_path() / "pgstate-test-XXXXXX").string()) {
        REQUIRE(::mkdtemp(path_.data()) != nullptr);
        REQUIRE(::chmod(path_.c_str(), 0755) == 0);
    }
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;
    ~scratch_directory() { fs::remove_all(path_); }

    fs::path operator/(const std::string& name) const { return path_ / fs::path(name); }

private:
    std::string path_;
};

// Without fsync, which would take seconds to make and to recover a cluster on a slow disk.
embedded_server_options keeping(const fs::path& directory) {
    embedded_server_options options;
    options.data_directory = directory;
    options.settings["fsync"] = "off";
    return options;
}

std::string query(const std::string& connection_string, const std::string& sql) {
    pqxx::connection connection(connection_string);
    return pqxx::nontransaction(connection).query_value<std::string>(sql);
}

void execute(const std::string& connection_string, const std::string& sql) {
    pqxx::connection connection(connection_string);
    pqxx::nontransaction(connection).exec(sql);
}

// The failure that making a server with `options` ends in.
pgstate::error start_failure(const embedded_server_options& options) {
    return pgstate_test::failure_of([&] { const embedded_server made(options); });
}

struct stat status_of(const fs::path& path) {
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    return found;
}

mode_t mode_of(const fs::path& path) {
    return status_of(path).st_mode & 0777U;
}

uid_t owner_of(const fs::path& path) {
    return status_of(path).st_uid;
}

fs::path process_directory(int pid) {
    return fs::path("/proc") / std::to_string(pid);
}

// Whether the child `pid` ends within some seconds.
bool ends(pid_t pid) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (::waitpid(pid, nullptr, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    return true;
}

class pipe_pair {
public:
    pipe_pair() { REQUIRE(::pipe(ends_) == 0); }
    pipe_pair(const pipe_pair&) = delete;
    pipe_pair& operator=(const pipe_pair&) = delete;
    ~pipe_pair() {
        close_writing();
        ::close(ends_[0]);
    }

    int reading() const { return ends_[0]; }
    void close_writing() {
        if (ends_[1] != -1) ::close(ends_[1]);
        ends_[1] = -1;
    }

private:
    int ends_[2] = {-1, -1};
};

} // namespace

TEST_CASE("an embedded server answers over its socket and over TCP", "[embedded]") {
    CHECK(query(server().connection_string(), "SELECT current_user") == "postgres");
    CHECK(query(server().connection_string(), "SELECT inet_server_addr() IS NULL") == "t");
    CHECK(query(server().tcp_connection_string(), "SELECT host(inet_server_addr())") == "127.0.0.1");
    CHECK(query(server().tcp_connection_string(), "SELECT inet_server_port()") ==
          std::to_string(server().port()));
    CHECK(query(server().connection_string(), "SHOW server_encoding") == "UTF8");
    CHECK(query(server().connection_string(), "SHOW max_connections") == "200");
    CHECK(fs::exists(server().bin_directory() / "postgres"));
    CHECK(fs::equivalent(process_directory(server().pid()) / "cwd", server().data_directory()));
}

TEST_CASE("an embedded server wants its password over TCP", "[embedded]") {
    const auto address = "@127.0.0.1:" + std::to_string(server().port()) + "/postgres";
    CHECK_THROWS_WITH(pqxx::connection("postgresql://postgres:wrong" + address),
                      ContainsSubstring("password authentication failed"));
    CHECK_THROWS_WITH(pqxx::connection("postgresql://postgres" + address + "?passfile=%2Fdev%2Fnull"),
                      ContainsSubstring("password"));
}

TEST_CASE("an embedded server is open to its own user only", "[embedded]") {
    CHECK(mode_of(server().data_directory()) == 0700);
    CHECK(mode_of(server().socket_directory()) == 0700);
    CHECK(mode_of(server().data_directory() / "pgstate" / "password") == 0600);
    CHECK(mode_of(server().data_directory() / "pgstate" / "server.log") == 0600);
    CHECK(owner_of(process_directory(server().pid())) != 0);
    CHECK(owner_of(server().data_directory()) == owner_of(process_directory(server().pid())));
    // Nobody at the terminal interrupts it.
    CHECK(::getsid(server().pid()) == server().pid());
}

TEST_CASE("an embedded server makes databases", "[embedded]") {
    const std::string name = "odd \"name\" 100% ü/ä?&";
    server().create_database(name);
    CHECK(query(server().connection_string(name), "SELECT current_database()") == name);
    CHECK(query(server().tcp_connection_string(name), "SELECT current_database()") == name);
    const auto refused = pgstate_test::failure_of([&] { server().create_database(name); });
    CHECK(refused.sqlstate() == "42P04");
    CHECK(refused.operation() == "create_database");
}

TEST_CASE("every test can have a database to itself", "[embedded]") {
    const auto first = pgstate_test::fresh_database();
    const auto second = pgstate_test::fresh_database();
    execute(first, "CREATE TABLE mine (id int)");
    CHECK(query(first, "SELECT count(*) FROM pg_class WHERE relname = 'mine'") == "1");
    CHECK(query(second, "SELECT count(*) FROM pg_class WHERE relname = 'mine'") == "0");
}

TEST_CASE("two embedded servers run at the same time", "[embedded]") {
    std::optional<embedded_server> other(std::in_place);
    CHECK(other->port() != server().port());
    CHECK(other->data_directory() != server().data_directory());
    CHECK(query(other->connection_string(), "SELECT inet_server_port() IS NULL") == "t");
    CHECK_THROWS_WITH(pqxx::connection("postgresql://postgres@127.0.0.1:" + std::to_string(other->port()) +
                                       "/postgres?passfile=%2Fdev%2Fnull"),
                      ContainsSubstring("password"));

    const int pid = other->pid();
    const fs::path directory = other->data_directory();
    REQUIRE(fs::exists(directory));
    SECTION("and one ends without the other") {
        other.reset();
    }
    SECTION("and one moved over ends") {
        embedded_server moved = std::move(*other);
        CHECK(moved.pid() == pid);
        CHECK(query(moved.connection_string(), "SELECT 1") == "1");
        other.reset();
        CHECK(::kill(pid, 0) == 0);
    }
    CHECK(::kill(pid, 0) != 0);
    CHECK_FALSE(fs::exists(directory));
    CHECK(query(server().connection_string(), "SELECT 1") == "1");
}

TEST_CASE("a stopped embedded server starts again with its data", "[embedded]") {
    embedded_server_options options;
    options.settings["fsync"] = "off"; // or recovery begins with writing every file to disk, for seconds
    embedded_server own(options);
    execute(own.connection_string(), "CREATE TABLE kept AS SELECT 42 AS answer");
    const auto tcp = own.tcp_connection_string();
    const auto stopped = [&] {
        CHECK(own.pid() == 0);
        CHECK_THROWS_AS(pqxx::connection(own.connection_string()), pqxx::broken_connection);
        CHECK_THROWS_AS(pqxx::connection(tcp), pqxx::broken_connection);
    };

    SECTION("after a fast shutdown") {
        own.stop();
        stopped();
        own.stop();
    }
    SECTION("after an immediate shutdown, which ends sessions without a word") {
        pqxx::connection session(own.connection_string());
        own.stop(embedded_server::shutdown::immediate);
        stopped();
        CHECK_THROWS_AS(pqxx::nontransaction(session).exec("SELECT 1"), pqxx::broken_connection);
    }
    SECTION("after someone killed it with sessions open") {
        pqxx::connection session(own.connection_string());
        REQUIRE(::kill(own.pid(), SIGKILL) == 0);
        own.stop(); // to know that it has ended
    }
    own.start();
    const int pid = own.pid();
    CHECK(query(own.connection_string(), "SELECT answer FROM kept") == "42");
    CHECK(query(tcp, "SELECT answer FROM kept") == "42");
    own.start();
    CHECK(own.pid() == pid);
}

TEST_CASE("a data directory that is named is kept and used again", "[embedded]") {
    const scratch_directory scratch;
    const auto directory = scratch / "not yet there" / "it's \"one\", really";
    std::string tcp;
    {
        embedded_server_options careful;
        careful.data_directory = directory;
        const embedded_server first(careful);
        CHECK(fs::equivalent(first.data_directory(), directory));
        execute(first.connection_string(), "CREATE TABLE kept AS SELECT 42 AS answer");
        CHECK(query(first.connection_string(), "SHOW fsync") == "on");
        CHECK(query(first.connection_string(), "SHOW max_connections") == "100");
    }
    REQUIRE(fs::exists(directory / "PG_VERSION"));
    CHECK_FALSE(fs::exists(directory / "postmaster.pid"));

    auto options = keeping(directory / "");
    options.settings["max_connections"] = "33";
    options.settings["search_path"] = "\"it's\", public";
    options.settings["application_name"] = "a 'quoted' \\ name";
    const embedded_server again(options);
    CHECK(query(again.connection_string(), "SELECT answer FROM kept") == "42");
    CHECK(query(again.tcp_connection_string(), "SELECT answer FROM kept") == "42");
    CHECK(query(again.connection_string(), "SHOW max_connections") == "33");
    CHECK(query(again.connection_string(), "SHOW search_path") == "\"it's\", public");
    CHECK(query(again.connection_string(), "SHOW application_name") == "a 'quoted' \\ name");

    // While it runs nobody else gets its directory.
    const auto second = start_failure(keeping(directory));
    CHECK(second == pgstate::errc::unavailable);
    CHECK_THAT(second.what(), ContainsSubstring("process id " + std::to_string(again.pid())));
    CHECK(query(again.connection_string(), "SELECT 1") == "1");
}

TEST_CASE("an embedded server in a long directory has its socket in a short one", "[embedded]") {
    const scratch_directory scratch;
    fs::path socket_directory;
    {
        const embedded_server own(keeping(scratch / std::string(100, 'x')));
        socket_directory = own.socket_directory();
        CHECK(socket_directory.string().size() < 60);
        CHECK(mode_of(socket_directory) == 0700);
        CHECK(query(own.connection_string(), "SELECT 1") == "1");
    }
    CHECK_FALSE(fs::exists(socket_directory));
}

TEST_CASE("what is no cluster of an embedded server is left alone", "[embedded]") {
    const scratch_directory scratch;
    const auto directory = scratch / "other";
    fs::create_directory(directory);
    const auto mode = mode_of(directory);
    const auto owner = owner_of(directory);

    SECTION("a directory with other files") {
        std::ofstream(directory / "precious") << "text";
        const auto refused = start_failure(keeping(directory));
        CHECK(refused == pgstate::errc::invalid_argument);
        CHECK_THAT(refused.what(), ContainsSubstring("not empty") && ContainsSubstring(directory.string()));
    }
    SECTION("a cluster that was not finished, or made otherwise") {
        std::ofstream(directory / "PG_VERSION") << "15\n";
        CHECK(start_failure(keeping(directory)) == pgstate::errc::invalid_argument);
    }
    CHECK(mode_of(directory) == mode);
    CHECK(owner_of(directory) == owner);
    CHECK(std::distance(fs::directory_iterator(directory), {}) == 1);
}

TEST_CASE("an embedded server without PostgreSQL says what to install", "[embedded]") {
    const scratch_directory scratch;
    embedded_server_options options;
    options.bin_directory = scratch / "nothing here";
    const auto failure = start_failure(options);
    CHECK(failure == pgstate::errc::unavailable);
    CHECK_THAT(failure.what(), ContainsSubstring("install the package 'postgresql'") &&
                                   ContainsSubstring("nothing here") &&
                                   ContainsSubstring("PGSTATE_PG_BINDIR"));
}

TEST_CASE("an embedded server that does not start says why, and leaves nothing", "[embedded]") {
    const scratch_directory scratch;
    auto options = keeping(scratch / "data");
    auto expected = pgstate::errc::unavailable;
    std::string words;
    SECTION("a setting that the server does not know") {
        options.settings["max_conections"] = "5";
        words = "unrecognized configuration parameter \"max_conections\"";
    }
    SECTION("a setting that is chosen here") {
        options.settings["port"] = "5432";
        expected = pgstate::errc::invalid_argument;
        words = "'port'";
    }
    SECTION("no setting's name at all") {
        options.settings["a=b"] = "c";
        expected = pgstate::errc::invalid_argument;
    }
    SECTION("no time at all") {
        options.start_timeout = std::chrono::milliseconds(1);
        words = "start_timeout";
    }
    const auto failure = start_failure(options);
    CHECK(failure == expected);
    CHECK_THAT(failure.what(), ContainsSubstring(words));
    CHECK_FALSE(fs::exists(scratch / "data" / "postmaster.pid"));
}

TEST_CASE("an embedded server holds nothing that this process has open", "[embedded]") {
    pipe_pair ends; // not close-on-exec, as the sockets of most libraries
    const embedded_server own;
    ends.close_writing();
    pollfd ended{.fd = ends.reading(), .events = POLLIN, .revents = 0};
    CHECK(::poll(&ended, 1, 0) == 1);
    CHECK((ended.revents & POLLHUP) != 0);
}

TEST_CASE("program: runs a server as nobody", "[.]") {
    if (::geteuid() == 0) {
        const passwd* const nobody = ::getpwnam("nobody");
        REQUIRE(nobody);
        REQUIRE(::setgroups(0, nullptr) == 0);
        REQUIRE(::setgid(nobody->pw_gid) == 0);
        REQUIRE(::setuid(nobody->pw_uid) == 0);
    }
    fs::path directory;
    {
        const embedded_server own;
        directory = own.data_directory();
        REQUIRE(owner_of(process_directory(own.pid())) == ::geteuid());
        other_program::answer("socket " + query(own.connection_string(), "SELECT 1"));
        other_program::answer(" tcp " + query(own.tcp_connection_string(), "SELECT 1"));
    }
    other_program::answer(fs::exists(directory) ? " left" : " removed");
}

TEST_CASE("a program that is not root runs an embedded server as itself", "[embedded]") {
    other_program program("program: runs a server as nobody");
    CHECK(program.answers() == "socket 1 tcp 1 removed");
    CHECK(program.succeeds());
}

TEST_CASE("program: is killed while its server runs", "[.]") {
    const embedded_server own(keeping(other_program::argument()));
    execute(own.connection_string(), "CREATE TABLE kept AS SELECT 42 AS answer");
    other_program::answer(std::to_string(own.pid()));
    ::raise(SIGKILL);
}

TEST_CASE("an embedded server ends with the program that is killed, and the next one finds its data",
          "[embedded]") {
    const scratch_directory scratch;
    REQUIRE(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); // the orphaned server becomes this process's child
    other_program program("program: is killed while its server runs", (scratch / "data").string());
    const auto text = program.answers();
    CHECK_FALSE(program.succeeds());
    const auto pid = static_cast<pid_t>(std::strtol(text.c_str(), nullptr, 10));
    INFO(text);
    REQUIRE(pid > 0);
    CHECK(ends(pid));
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);

    const embedded_server next(keeping(scratch / "data"));
    CHECK(query(next.connection_string(), "SELECT answer FROM kept") == "42");
}
