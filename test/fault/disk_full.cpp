// What a store makes of a disk that is full: a tablespace on a file system of a few megabytes.

#include "pgstate/embedded_server.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"

#include <catch2/catch_test_macros.hpp>
#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;

namespace {

/// A file system of its own, which belongs to the user who runs `server`.
class small_disk {
public:
    explicit small_disk(const pgstate::embedded_server& server)
        : path_((server.data_directory().parent_path() / "pgstate-disk-XXXXXX").string()) {
        if (!::mkdtemp(path_.data())) throw std::runtime_error("no directory can be made for the disk");
        if (::mount("tmpfs", path_.c_str(), "tmpfs", 0, "size=3m") != 0) {
            const std::string why = std::strerror(errno);
            ::rmdir(path_.c_str());
            SKIP("no file system can be mounted here (" << why << "): a full disk was not tested");
        }
        struct stat owner {};
        const bool given = ::stat(server.data_directory().c_str(), &owner) == 0 &&
                           ::chown(path_.c_str(), owner.st_uid, owner.st_gid) == 0 &&
                           ::chmod(path_.c_str(), S_IRWXU) == 0;
        if (!given) throw std::runtime_error("the disk cannot be given to the server's user");
    }
    small_disk(const small_disk&) = delete;
    small_disk& operator=(const small_disk&) = delete;
    ~small_disk() {
        ::umount2(path_.c_str(), MNT_DETACH);
        ::rmdir(path_.c_str());
    }
    const std::string& path() const { return path_; }
    void enlarge() {
        if (::mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, "size=64m") != 0)
            throw std::runtime_error("the disk cannot be enlarged");
    }

private:
    std::string path_;
};

/// About 40 KB that cannot be compressed to much less.
agent_state bulky(std::size_t number) {
    agent_state state("a", std::to_string(number));
    std::mt19937 random(static_cast<unsigned>(number));
    std::string noise;
    for (int i = 0; i < 40'000; ++i)
        noise += static_cast<char>('!' + random() % 90);
    state.data["noise"] = noise;
    return state;
}

} // namespace

TEST_CASE("on a full disk saves are refused, nothing else is lost, and they go on when there is room",
          "[disk]") {
    pgstate::embedded_server_options options;
    options.settings["fsync"] = "off";
    options.settings["autovacuum"] = "off";
    pgstate::embedded_server server(options);
    small_disk disk(server);
    pqxx::connection admin(server.connection_string());
    pqxx::nontransaction sql(admin);
    sql.exec("CREATE TABLESPACE small LOCATION " + sql.quote(disk.path()));

    asio::io_context context;
    pgstate::config config;
    config.connection_string = server.connection_string();
    run(context, [&]() -> asio::awaitable<void> {
        auto store = co_await pgstate::postgres_store::open(context.get_executor(), config);
        sql.exec("ALTER TABLE agent_states SET TABLESPACE small");

        std::vector<std::size_t> saved;
        std::vector<std::size_t> refused;
        constexpr std::size_t at_once = 16;
        for (std::size_t from = 0; refused.empty() && from < 1000; from += at_once) {
            std::vector<agent_state> states;
            for (std::size_t i = from; i < from + at_once; ++i)
                states.push_back(bulky(i));
            const auto outcomes = co_await store.save_all(states);
            for (std::size_t i = 0; i < at_once; ++i) {
                if (outcomes[i].has_value()) {
                    saved.push_back(from + i);
                    continue;
                }
                CHECK(outcomes[i].error().sqlstate() == "53100"); // disk_full
                refused.push_back(from + i);
            }
        }
        REQUIRE_FALSE(refused.empty());
        REQUIRE(saved.size() > 2 * at_once);

        // What was acknowledged is there as it was saved, what was refused is not.
        for (const auto number : saved) {
            const auto state = co_await store.load("a", std::to_string(number));
            REQUIRE(state.has_value());
            CHECK(state->data == bulky(number).data);
        }
        for (const auto number : refused) {
            const auto state = co_await store.load("a", std::to_string(number));
            CHECK_FALSE(state.has_value());
        }

        // Deleting needs no room.
        std::vector<pgstate::state_key> old;
        for (std::size_t i = 0; i < at_once; ++i)
            old.emplace_back("a", std::to_string(saved[i]));
        const auto erased = co_await store.erase_all(old);
        CHECK(erased == static_cast<std::int64_t>(old.size()));

        disk.enlarge();
        for (const auto number : refused) {
            const auto state = bulky(number);
            co_await store.save(state);
        }
        co_await store.close();
    });
    sql.exec("DROP TABLE agent_states");
    sql.exec("DROP TABLESPACE small");
}
