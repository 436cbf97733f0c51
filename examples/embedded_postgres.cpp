// Keeps a private PostgreSQL running for other programs until it is told to stop:
//
//     embedded_postgres --data DIR --url-file FILE
//
// FILE appears, complete, once the server accepts connections: it holds the connection string in one line.
// Ends with SIGTERM or SIGINT, when it stops the server and removes FILE. DIR is kept, for the next time.

#include <pgstate/embedded_server.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/program_options.hpp>

#include <csignal>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

namespace {

namespace options = boost::program_options;

struct arguments {
    std::filesystem::path data_directory;
    std::filesystem::path url_file;
    bool tcp = false;
};

// Nothing where the caller asked for help.
std::optional<arguments> parse(int argc, char** argv) {
    options::options_description known("embedded_postgres: a private PostgreSQL until SIGTERM or SIGINT");
    auto add = known.add_options();
    add("help", "show this text");
    add("data", options::value<std::string>()->default_value(""),
        "the data directory, made if it is not there and kept; none: a temporary one");
    add("url-file", options::value<std::string>()->required(),
        "the file that the connection string is written to");
    add("tcp", "write a connection string for TCP with a password, not for the Unix socket");

    options::variables_map given;
    options::store(options::parse_command_line(argc, argv, known), given);
    if (given.count("help") != 0) {
        std::cout << known;
        return std::nullopt;
    }
    options::notify(given);
    return arguments{.data_directory = given["data"].as<std::string>(),
                     .url_file = given["url-file"].as<std::string>(),
                     .tcp = given.count("tcp") != 0};
}

// In one step, so that whoever waits for the file never sees a part of it.
void write_atomically(const std::filesystem::path& path, const std::string& line) {
    auto partial = path;
    partial += ".new";
    std::filesystem::remove(partial);
    std::ofstream file(partial);
    // The connection string may have a password.
    std::filesystem::permissions(partial,
                                 std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    file << line << '\n';
    file.close();
    if (!file) throw std::runtime_error("cannot write '" + partial.string() + "'");
    std::filesystem::rename(partial, path);
}

void serve(const arguments& wanted) {
    boost::asio::io_context context;
    // Before the server starts, so that a signal in the meantime stops it in good order too.
    boost::asio::signal_set signals(context, SIGTERM, SIGINT);
    signals.async_wait([](const boost::system::error_code&, int) {});

    pgstate::embedded_server_options server_options;
    server_options.data_directory = wanted.data_directory;
    const pgstate::embedded_server server(server_options);
    write_atomically(wanted.url_file,
                     wanted.tcp ? server.tcp_connection_string() : server.connection_string());
    std::cout << "PostgreSQL is running on " << server.data_directory().string() << std::endl;

    context.run();
    std::filesystem::remove(wanted.url_file);
}

} // namespace

int main(int argc, char** argv) {
    try {
        if (const auto wanted = parse(argc, argv)) serve(*wanted);
        return 0;
    } catch (const std::exception& failure) {
        std::cerr << "embedded_postgres: " << failure.what() << '\n';
        return 1;
    }
}
