// The opening of a store is cut after every one of its bytes: it succeeds or fails soon, and the next one succeeds.

#include "fault/proxy.hpp"
#include "fault/sweep.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/co_spawn.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;
using pgstate::errc;

namespace {

/// Opens stores and closes them. They share nothing, so it shows once whether the server has come to harm.
class connect_sweep {
public:
    connect_sweep() {
        for (std::size_t i = 0; i < sweep_lanes; ++i) {
            auto& made = *lanes_.emplace_back(std::make_unique<lane>());
            made.settings.connection_string =
                through_with_password(made.proxy, server(), database_) + "?pool_max_conns=1";
            made.settings.operation_timeout = sweep_operation_timeout;
            made.settings.schema.migrate = pgstate::migrate_mode::off;
        }
    }

    void check() {
        const auto begin = sweep_clock::now();
        plan();
        std::size_t running = lanes_.size();
        for (auto& each : lanes_)
            asio::co_spawn(context_, work(*each), [&](std::exception_ptr failure) {
                --running;
                if (failure) wrong(pgstate::to_error(failure).what());
            });
        context_.restart();
        while (running > 0)
            if (context_.run_one_for(patience) == 0)
                throw std::runtime_error("connect: nothing happens any more");
        std::cout << "connect: " << longest_[0] << " bytes to the server, " << longest_[1]
                  << " to the client; " << opened_ << " opened in spite of the cut, " << failed_
                  << " failed; slowest "
                  << std::chrono::duration_cast<std::chrono::milliseconds>(slowest_).count() << " ms; "
                  << std::chrono::duration<double>(sweep_clock::now() - begin).count() << " s; seed "
                  << sweep_seed() << std::endl;
        for (const auto& each : wrongs_)
            FAIL_CHECK(each);
    }

private:
    struct lane {
        fault_proxy proxy{tcp_of(server())};
        pgstate::config settings;
    };

    void wrong(std::string what) {
        if (wrongs_.size() < 20) wrongs_.push_back(std::move(what));
    }

    void plan() {
        auto& proxy = lanes_.front()->proxy;
        for (int i = 0; i < 3; ++i) {
            const auto before = proxy.count();
            run(context_, [&]() -> asio::awaitable<void> {
                const auto failure = co_await open_once(*lanes_.front());
                if (failure) wrong(std::string("not cut: ") + failure->what());
            });
            const auto after = proxy.count();
            longest_[0] = std::max(longest_[0], after.bytes_to_server - before.bytes_to_server);
            longest_[1] = std::max(longest_[1], after.bytes_to_client - before.bytes_to_client);
        }
        cuts_ = sweep_cuts(longest_);
    }

    asio::awaitable<std::optional<pgstate::error>> open_once(lane& on) {
        auto opened = co_await pgstate::postgres_store::open(context_.get_executor(), on.settings, as_result);
        if (opened.has_error()) co_return opened.error();
        auto store = std::move(*opened);
        co_await store.close();
        co_return std::nullopt;
    }

    asio::awaitable<void> work(lane& on) {
        while (next_ < cuts_.size()) {
            const auto what = cuts_[next_++];
            on.proxy.cut_next(what.way, what.bytes, what.how);
            const auto begin = sweep_clock::now();
            const auto failure = co_await open_once(on);
            const auto took = sweep_clock::now() - begin;
            on.proxy.disarm();
            slowest_ = std::max(slowest_, took);
            ++(failure ? failed_ : opened_);
            if (took > sweep_soon) wrong(sweep_text(what) + ": opened or failed late");
            if (failure && *failure != errc::unavailable) wrong(sweep_text(what) + ": " + failure->what());
        }
        const auto failure = co_await open_once(on);
        if (failure) wrong(std::string("after the cuts: ") + failure->what());
    }

    const std::string database_ = fresh_database_name();
    asio::io_context context_;
    std::vector<std::unique_ptr<lane>> lanes_;
    std::array<std::uint64_t, 2> longest_{};
    std::vector<sweep_cut> cuts_;
    std::size_t next_ = 0;
    std::size_t opened_ = 0;
    std::size_t failed_ = 0;
    sweep_clock::duration slowest_{};
    std::vector<std::string> wrongs_;
};

} // namespace

TEST_CASE("opening a store with a password is cut at every byte", "[cuts]") {
    connect_sweep all;
    all.check();
}
