#ifndef PGSTATE_TEST_POOLER_HPP
#define PGSTATE_TEST_POOLER_HPP

#include "embedded/account.hpp"
#include "embedded/child_process.hpp"

#include <filesystem>
#include <optional>
#include <string>

namespace pgstate_test {

/// A temporary directory that the servers' user owns.
class owned_directory {
public:
    owned_directory();
    owned_directory(const owned_directory&) = delete;
    owned_directory& operator=(const owned_directory&) = delete;
    ~owned_directory();

    std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
    const std::filesystem::path& path() const noexcept { return path_; }
    const pgstate::embedded::account& user() const noexcept { return user_; }
    /// A file for nobody but that user.
    std::filesystem::path write(const std::string& name, const std::string& text) const;

private:
    pgstate::embedded::account user_;
    std::filesystem::path path_;
};

/// Where a program of this name is, in PATH or where distributions keep those of daemons; empty: nowhere.
std::filesystem::path find_program(const std::string& name);

struct pooler_options {
    /// Whom every client is on the server.
    std::string user = "postgres";
    int server_connections = 2;
    /// 0: it keeps no prepared statements.
    int max_prepared_statements = 0;
};

/// A PgBouncer in transaction mode in front of server(), on a Unix socket of its own. It refuses options of clients at
/// their start that it does not know, which is its default.
class pooler {
public:
    /// Skips the test case, and says so, where PgBouncer is not installed.
    explicit pooler(pooler_options options = {});

    /// As embedded_server's: parameters are added with "&".
    std::string connection_string(const std::string& database) const;

    void kill() { process_.reset(); }
    /// Does not wait until it accepts connections.
    void start();

    /// PgBouncer 1.21 has prepared statements in transaction mode.
    static bool keeps_prepared_statements();
    static std::string version();

private:
    owned_directory directory_;
    std::filesystem::path program_;
    std::filesystem::path settings_;
    pgstate::embedded::file_ptr log_;
    std::optional<pgstate::embedded::child_process> process_;
};

} // namespace pgstate_test

#endif
