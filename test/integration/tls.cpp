// TLS, passwords by SCRAM-SHA-256 and client certificates, against a server that takes nothing else.

#include "integration/pooler.hpp"
#include "integration/store_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <sys/stat.h>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;

namespace {

namespace fs = std::filesystem;

constexpr auto tls_host = "pgstate.test";
constexpr auto scram_password = "correct horse 'battery' \\ staple";

/// An authority, one that the server does not know, and what the first has signed.
class certificates {
public:
    certificates() : openssl_(find_program("openssl")) {
        if (openssl_.empty()) SKIP("the program openssl is not installed: nothing here was tested");
        settings_ = directory_.write(
            "openssl.cnf", "[req]\ndistinguished_name = name\n[name]\n"
                           "[authority]\nbasicConstraints = critical,CA:TRUE\nkeyUsage = keyCertSign\n"
                           "[server]\nsubjectAltName = DNS:pgstate.test\n[client]\n"
                           "basicConstraints = CA:FALSE\n");
        make("authority", "authority", "an authority");
        make("stranger", "authority", "another authority");
        make("server", "server", tls_host, "authority");
        make("cert_user", "client", "cert_user", "authority");
        make("somebody", "client", "somebody", "authority");
        make("forged", "client", "cert_user", "stranger");
        hba_ = directory_.write("pg_hba.conf", "local all postgres trust\n"
                                               "hostssl all scram_user 127.0.0.1/32 scram-sha-256\n"
                                               "hostssl all cert_user 127.0.0.1/32 cert\n");
    }

    std::string certificate(const std::string& of) const { return (directory_ / (of + ".crt")).string(); }
    std::string key(const std::string& of) const { return (directory_ / (of + ".key")).string(); }
    std::string hba() const { return hba_.string(); }

private:
    void make(const std::string& file, const std::string& kind, const std::string& name,
              const std::string& signer = {}) {
        std::vector<std::string> arguments{
            "req",         "-x509",   "-config",  settings_.string(),
            "-newkey",     "ec",      "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes",      "-batch",  "-days",    "2",
            "-extensions", kind,      "-subj",    "/CN=" + name,
            "-keyout",     key(file), "-out",     certificate(file)};
        if (!signer.empty())
            for (auto each : {std::string("-CA"), certificate(signer), std::string("-CAkey"), key(signer)})
                arguments.push_back(std::move(each));
        const auto done = pgstate::embedded::run(openssl_, arguments, directory_.user(),
                                                 std::chrono::steady_clock::now() + patience);
        INFO(done.output);
        REQUIRE(done.exit_code == 0);
        directory_.user().take(fs::path(key(file)), S_IRUSR | S_IWUSR);
    }

    owned_directory directory_;
    fs::path openssl_;
    fs::path settings_;
    fs::path hba_;
};

class tls_server {
public:
    tls_server() : running_(options(files_)) {
        pqxx::connection admin(running_.connection_string());
        pqxx::nontransaction sql(admin);
        sql.exec("CREATE ROLE scram_user LOGIN PASSWORD " + sql.quote(scram_password));
        sql.exec("CREATE ROLE cert_user LOGIN");
        for (const std::string user : {"scram_user", "cert_user"})
            sql.exec("CREATE DATABASE " + user + " OWNER " + user);
    }

    /// keyword/value; what is said later wins.
    std::string as(const std::string& user, const std::string& more = {}) const {
        return std::string("host=") + tls_host +
               " hostaddr=127.0.0.1 port=" + std::to_string(running_.port()) + " dbname=" + user +
               " user=" + user + " sslmode=verify-full sslrootcert='" + files_.certificate("authority") +
               "' " + more;
    }
    std::string with_password(const std::string& more = {}) const {
        return as("scram_user", "password='correct horse \\'battery\\' \\\\ staple' " + more);
    }
    std::string with_certificate(const std::string& of) const {
        return as("cert_user", "sslcert='" + files_.certificate(of) + "' sslkey='" + files_.key(of) + "'");
    }
    const certificates& files() const { return files_; }

private:
    static pgstate::embedded_server_options options(const certificates& files) {
        pgstate::embedded_server_options made;
        made.settings = {{"ssl", "on"},
                         {"ssl_cert_file", files.certificate("server")},
                         {"ssl_key_file", files.key("server")},
                         {"ssl_ca_file", files.certificate("authority")},
                         {"hba_file", files.hba()},
                         {"fsync", "off"}};
        return made;
    }

    certificates files_;
    pgstate::embedded_server running_;
};

const tls_server& tls() {
    static const tls_server shared;
    return shared;
}

/// Of a connection of the pool: "VERSION of TLS/the client certificate's name".
std::string encryption_of(opened_store& f) {
    const auto rows = f.on_pool("SELECT version || coalesce(client_dn, '') FROM pg_stat_ssl"
                                " WHERE ssl AND pid = pg_backend_pid()");
    return rows[0][0].as<std::string>();
}

agent_state large_state(std::size_t i) {
    agent_state state("a", std::to_string(i));
    std::string text;
    while (text.size() < 200'000)
        text += std::to_string(i * 7919 + text.size()) + " words of many; ";
    state.data["text"] = text;
    return state;
}

} // namespace

TEST_CASE("verify-full with a password by SCRAM encrypts what is sent, large batches included", "[tls]") {
    opened_store f("", config_for(tls().with_password()));
    CHECK(encryption_of(f).starts_with("TLSv1."));
    std::vector<agent_state> states;
    std::vector<pgstate::state_key> keys;
    for (std::size_t i = 0; i < 64; ++i) {
        states.push_back(large_state(i));
        keys.emplace_back("a", std::to_string(i));
    }
    const auto saved = f.wait(f.store.save_all(states));
    for (const auto& each : saved)
        REQUIRE(each.has_value());
    const auto loaded = f.wait(f.store.load_all(keys));
    for (std::size_t i = 0; i < 64; ++i) {
        REQUIRE(loaded[i].has_value());
        CHECK((loaded[i]->data == states[i].data));
    }
}

TEST_CASE("a server that another authority has signed is not trusted", "[tls]") {
    const auto failure = open_failure(
        config_for(tls().with_password("sslrootcert='" + tls().files().certificate("stranger") + "'")));
    CHECK(names(failure, "certificate verify failed"));
    CHECK_FALSE(names(failure, "horse"));
}

TEST_CASE("a server's certificate is good for its name only", "[tls]") {
    const auto failure = open_failure(config_for(tls().with_password("host=elsewhere.test")));
    CHECK(names(failure, "pgstate.test"));
    CHECK(names(failure, "does not match host name \"elsewhere.test\""));
}

TEST_CASE("a connection without TLS is refused", "[tls]") {
    const auto failure = open_failure(config_for(tls().with_password("sslmode=disable")));
    CHECK(failure.sqlstate() == "28000");
    CHECK(names(failure, "no encryption"));
    CHECK_FALSE(names(failure, "horse"));
}

TEST_CASE("a password that SCRAM refuses is not repeated", "[tls]") {
    const auto failure = open_failure(config_for(tls().with_password("password=hunter2hunter2")));
    CHECK(failure.sqlstate() == "28P01");
    CHECK(names(failure, "password authentication failed"));
    CHECK_FALSE(names(failure, "hunter2"));
    CHECK_FALSE(names(failure, "horse"));
}

TEST_CASE("a client certificate opens a store, and nothing else does where one is asked for", "[tls]") {
    {
        opened_store f("", config_for(tls().with_certificate("cert_user")));
        CHECK(encryption_of(f).ends_with("/CN=cert_user"));
        f.wait(f.store.save(numbered_state(1)));
        CHECK(f.wait(f.store.load("a", "s")).has_value());
    }
    const auto missing = open_failure(config_for(tls().as("cert_user")));
    CHECK(missing.sqlstate() == "28000");
    CHECK(names(missing, "valid client certificate"));
    const auto of_another = open_failure(config_for(tls().with_certificate("somebody")));
    CHECK(of_another.sqlstate() == "28000");
    CHECK(names(of_another, "certificate authentication failed"));
    open_failure(config_for(tls().with_certificate("forged")));
}
