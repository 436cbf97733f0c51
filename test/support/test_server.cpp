#include "support/test_server.hpp"

#include <pqxx/pqxx>

#include <mutex>
#include <optional>

namespace pgstate_test {
namespace {

pgstate::embedded_server_options options() {
    pgstate::embedded_server_options options;
    options.settings["max_connections"] = "200";
    // Its files go with the process: nothing here has to outlive a crash of the machine.
    options.settings["fsync"] = "off";
    options.settings["full_page_writes"] = "off";
    // Its workers would go from each of hundreds of databases to the next.
    options.settings["autovacuum"] = "off";
    return options;
}

} // namespace

pgstate::embedded_server& server() {
    static pgstate::embedded_server shared(options());
    return shared;
}

std::string fresh_database_name() {
    auto& shared = server(); // before the connection, so that it outlives it
    static std::mutex mutex;
    static int created = 0;
    static std::optional<pqxx::connection> connection;

    const std::lock_guard lock(mutex);
    if (!connection || !connection->is_open()) connection.emplace(shared.connection_string());
    const auto name = "test_" + std::to_string(++created);
    // template0: nobody can be connected to it, which would make this fail. Copying its files takes a quarter of the time
    // that logging their pages does.
    pqxx::nontransaction(*connection)
        .exec("CREATE DATABASE " + name + " TEMPLATE template0 STRATEGY file_copy");
    return name;
}

std::string fresh_database() {
    return server().connection_string(fresh_database_name());
}

} // namespace pgstate_test
