#include "pgstate/embedded_server.hpp"

#include "embedded/account.hpp"
#include "embedded/child_process.hpp"
#include "embedded/cluster.hpp"
#include "embedded/programs.hpp"
#include "embedded/server_files.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>
#include <boost/url/encode.hpp>
#include <boost/url/rfc/unreserved_chars.hpp>

#include <pqxx/pqxx>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <fstream>
#include <optional>
#include <random>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace pgstate {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;
using embedded::fail;

namespace {

// How long a fast shutdown, and then an immediate one, may take.
constexpr auto fast_time = 10s;
constexpr auto immediate_time = 5s;

std::string percent_encoded(const std::string& text) {
    return boost::urls::encode(text, boost::urls::unreserved_chars);
}

void check_settings(const std::map<std::string, std::string>& settings) {
    constexpr std::array<std::string_view, 6> reserved{
        "config_file",      "data_directory", "external_pid_file",
        "listen_addresses", "port",           "unix_socket_directories"};
    constexpr std::string_view allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
    for (const auto& [name, value] : settings) {
        if (name.empty() || name.find_first_not_of(allowed) != std::string::npos)
            fail(errc::invalid_argument,
                 "'" + name + "' in embedded_server_options::settings is no setting's name");
        if (std::find(reserved.begin(), reserved.end(), name) != reserved.end())
            fail(errc::invalid_argument, "embedded_server_options::settings has '" + name +
                                             "', which embedded_server chooses: remove it");
        if (value.find('\0') != std::string::npos)
            fail(errc::invalid_argument,
                 "the value of '" + name +
                     "' in embedded_server_options::settings has a NUL character: remove it");
    }
}

using tcp = boost::asio::ip::tcp;

// The port that was bound for 0: the kernel's choice.
unsigned short bind_to(unsigned short port, boost::system::error_code& failed) {
    boost::asio::io_context context;
    tcp::socket probe(context);
    const tcp::endpoint wanted(boost::asio::ip::address_v4::loopback(), port);
    if (!probe.open(wanted.protocol(), failed) && !probe.bind(wanted, failed))
        return probe.local_endpoint().port();
    return 0;
}

/// A port of 127.0.0.1 that nothing listens on at this moment; another program may be faster.
unsigned short free_port() {
    // Not from the range that outgoing connections get theirs from: while the server is stopped such a connection could
    // take its port, and a client that tries again and again would in the end connect to itself.
    unsigned short first = 15000;
    unsigned short end = 0;
    std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> end;

    boost::system::error_code failed;
    if (end > first + 1000) {
        std::random_device random;
        std::uniform_int_distribution<unsigned short> any(first, static_cast<unsigned short>(end - 1));
        for (int attempt = 0; attempt < 100; ++attempt)
            if (const auto port = bind_to(any(random), failed)) return port;
    }
    if (const auto port = bind_to(0, failed)) return port;
    throw boost::system::system_error(failed, "no free port on 127.0.0.1");
}

} // namespace

class embedded_server::impl {
public:
    explicit impl(embedded_server_options options) : options_(std::move(options)) {}
    impl(const impl&) = delete;
    impl& operator=(const impl&) = delete;

    ~impl() {
        if (made_by_ != ::getpid()) return; // a fork of the program that made it, on its way out
        try {
            // What is to be removed need not be written to disk first.
            stop(temporary() ? shutdown::immediate : shutdown::fast);
        } catch (const std::exception&) {
            child_.reset(); // kills it
        }
        if (!socket_directory_.empty() && socket_directory_.parent_path() != data_directory_)
            remove(socket_directory_);
        if (temporary() && !data_directory_.empty()) remove(data_directory_);
    }

    // Apart from the constructor, so that the destructor clears up after a failure.
    void open() {
        const auto until = clock_type::now() + options_.start_timeout;
        check_settings(options_.settings);
        user_ = embedded::choose_account(options_.run_as);
        bin_directory_ = embedded::find_programs(options_.bin_directory, user_);
        open_data_directory(until);
        socket_directory_ = embedded::make_socket_directory(data_directory_, user_);
        constexpr int attempts = 10;
        for (int attempt = 1;; ++attempt) {
            port_ = free_port();
            if (try_start(until, attempt < attempts)) return;
        }
    }

    void stop(shutdown how) {
        if (!child_) return;
        if (how == shutdown::fast) {
            child_->signal(SIGINT);
            if (child_->wait(clock_type::now() + fast_time)) {
                child_.reset();
                return;
            }
        }
        child_->signal(SIGQUIT);
        child_->wait(clock_type::now() + immediate_time);
        child_.reset(); // kills it if it still runs
    }

    bool temporary() const { return options_.data_directory.empty(); }

    // If someone else killed the server, its children may go on writing for a moment.
    static void remove(const fs::path& directory) {
        const auto until = clock_type::now() + 2s;
        for (;;) {
            std::error_code failed;
            fs::remove_all(directory, failed);
            if (!failed || clock_type::now() >= until) return;
            std::this_thread::sleep_for(embedded::poll_interval);
        }
    }

    void open_data_directory(embedded::deadline until) {
        if (temporary()) {
            data_directory_ = embedded::make_temporary_directory(user_);
            make_cluster(until);
            return;
        }
        // The server's working directory is another. Without a trailing slash parent_path() is the parent.
        data_directory_ = fs::weakly_canonical(fs::absolute(options_.data_directory));
        if (!data_directory_.has_filename()) data_directory_ = data_directory_.parent_path();
        std::error_code ignored;
        if (!fs::exists(data_directory_ / "PG_VERSION", ignored)) return make_cluster(until);
        refuse_a_second_server(until);
        password_ = embedded::open_cluster(data_directory_, user_);
    }

    void make_cluster(embedded::deadline until) {
        const auto fsync = options_.settings.find("fsync");
        const bool careless = temporary() || (fsync != options_.settings.end() && fsync->second == "off");
        embedded::make_cluster(data_directory_, bin_directory_, user_,
                               careless ? embedded::durability::none : embedded::durability::synced, until);
        password_ = embedded::open_cluster(data_directory_, user_);
    }

    void refuse_a_second_server(embedded::deadline until) const {
        while (const int pid = embedded::live_postmaster(data_directory_)) {
            const auto file = embedded::postmaster_file::read(data_directory_);
            const bool ending = file && file->status == "stopping";
            if (!ending || clock_type::now() >= until)
                fail(errc::unavailable, "a PostgreSQL server with the process id " + std::to_string(pid) +
                                            " is running on '" + data_directory_.string() +
                                            "': stop it (kill -INT " + std::to_string(pid) +
                                            "), or name another data directory");
            std::this_thread::sleep_for(embedded::poll_interval);
        }
    }

    std::vector<std::string> arguments() const {
        std::map<std::string, std::string> settings{{"max_connections", "100"}};
        for (const auto& [name, value] : options_.settings)
            settings[name] = value;
        settings["listen_addresses"] = "127.0.0.1";
        settings["port"] = std::to_string(port_);
        // The server splits this one at commas, and takes what is in double quotes as it is.
        std::string quoted = "\"";
        for (const char c : socket_directory_.string())
            quoted.append(c == '"' ? 2U : 1U, c);
        settings["unix_socket_directories"] = quoted + "\"";

        std::vector<std::string> arguments{"-D", data_directory_.string()};
        for (const auto& [name, value] : settings) {
            arguments.emplace_back("-c");
            arguments.push_back(name + "=" + value);
        }
        return arguments;
    }

    // False if the port is taken and `other_port_is_fine`.
    bool try_start(embedded::deadline until, bool other_port_is_fine) {
        embedded::server_log log(data_directory_ / embedded::own_directory / "server.log", user_);
        for (;;) {
            log.mark();
            const auto launched = std::time(nullptr);
            child_.emplace(bin_directory_ / "postgres", arguments(), user_, log.file());
            if (becomes_ready(launched, until)) return true;

            const bool gave_up = child_->running();
            stop(shutdown::immediate);
            const auto said = log.since_mark();
            if (!gave_up && other_port_is_fine && said.find("Address already in use") != std::string::npos)
                return false;
            // A killed server's children take a moment to notice that they have no parent any more.
            if (!gave_up && clock_type::now() < until &&
                said.find("pre-existing shared memory block") != std::string::npos) {
                std::this_thread::sleep_for(embedded::poll_interval);
                continue;
            }
            fail(errc::unavailable, std::string(gave_up ? "PostgreSQL did not accept connections within "
                                                          "embedded_server_options::start_timeout"
                                                        : "PostgreSQL did not start") +
                                        " on '" + data_directory_.string() + "'; the end of its log:\n" +
                                        embedded::server_log::end_of(said));
        }
    }

    bool becomes_ready(std::time_t launched, embedded::deadline until) {
        while (clock_type::now() < until) {
            // A killed server's file can bear this one's process id: in a container that has been restarted, say.
            const auto file = embedded::postmaster_file::read(data_directory_);
            if (file && file->pid == child_->pid() && file->started >= launched && file->status == "ready")
                return true;
            if (!child_->running()) return false;
            std::this_thread::sleep_for(embedded::poll_interval);
        }
        return false;
    }

    embedded_server_options options_;
    pid_t made_by_ = ::getpid();
    embedded::account user_;
    fs::path bin_directory_;
    fs::path data_directory_;
    fs::path socket_directory_;
    std::string password_;
    unsigned short port_ = 0;
    std::optional<embedded::child_process> child_;
};

embedded_server::embedded_server(embedded_server_options options) {
    auto made = std::make_unique<impl>(std::move(options));
    try {
        made->open();
    } catch (const error&) {
        throw;
    } catch (const std::system_error& failure) { // std::filesystem
        fail(errc::unavailable, failure.what());
    } catch (const boost::system::system_error& failure) { // no free port
        fail(errc::unavailable, failure.what());
    }
    impl_ = std::move(made);
}

embedded_server::embedded_server(embedded_server&&) noexcept = default;
embedded_server& embedded_server::operator=(embedded_server&&) noexcept = default;
embedded_server::~embedded_server() = default;

std::string embedded_server::connection_string(const std::string& database) const {
    return "postgresql://postgres@/" + percent_encoded(database) +
           "?host=" + percent_encoded(impl_->socket_directory_.string()) +
           "&port=" + std::to_string(impl_->port_);
}

std::string embedded_server::tcp_connection_string(const std::string& database) const {
    return "postgresql://postgres:" + impl_->password_ + "@127.0.0.1:" + std::to_string(impl_->port_) + "/" +
           percent_encoded(database);
}

const fs::path& embedded_server::data_directory() const noexcept {
    return impl_->data_directory_;
}

const fs::path& embedded_server::socket_directory() const noexcept {
    return impl_->socket_directory_;
}

const fs::path& embedded_server::bin_directory() const noexcept {
    return impl_->bin_directory_;
}

unsigned short embedded_server::port() const noexcept {
    return impl_->port_;
}

int embedded_server::pid() const noexcept {
    return impl_->child_ ? impl_->child_->pid() : 0;
}

void embedded_server::create_database(const std::string& name) {
    try {
        pqxx::connection connection(connection_string());
        pqxx::nontransaction(connection).exec("CREATE DATABASE " + connection.quote_name(name));
    } catch (const pqxx::sql_error& refused) {
        if (refused.sqlstate().empty()) throw error(errc::unavailable, "create_database", refused.what());
        throw error::from_server(refused.sqlstate(), "create_database", refused.what());
    } catch (const pqxx::failure& failure) {
        throw error(errc::unavailable, "create_database", failure.what());
    }
}

void embedded_server::stop(shutdown how) {
    impl_->stop(how);
}

void embedded_server::start() {
    if (impl_->child_ && impl_->child_->running()) return;
    impl_->child_.reset();
    impl_->try_start(clock_type::now() + impl_->options_.start_timeout, false);
}

} // namespace pgstate
