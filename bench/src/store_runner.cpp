#include "callers.hpp"
#include "open_store.hpp"
#include "runner.hpp"
#include "server.hpp"

#include <boost/asio/use_future.hpp>

#include <latch>
#include <vector>

namespace bench {
namespace {

class store_runner final : public runner {
public:
    store_runner(engine& runs_on, const arguments& chosen, const std::string& url)
        : engine_(runs_on), chosen_(chosen), store_(open_store(runs_on, chosen, url)) {}

    outcome run(const workload& work, phase& now) override {
        return run_callers(engine_, store_, work, now, chosen_);
    }

    void flush_statistics() override {
        // Each holds its connection until all are held, so that no connection serves two.
        const auto all_held = std::make_shared<std::latch>(static_cast<std::ptrdiff_t>(connections()));
        std::vector<std::future<void>> flushes;
        for (std::size_t i = 0; i < connections(); ++i)
            flushes.push_back(store_.pool().with_connection(
                [all_held](pqxx::connection& c) {
                    all_held->arrive_and_wait();
                    bench::flush_statistics(c);
                },
                boost::asio::use_future));
        std::exception_ptr failure;
        for (auto& each : flushes) {
            each.wait();
            try {
                each.get();
            } catch (...) {
                failure = std::current_exception();
                all_held->count_down(); // in the place of the connection that was not there
            }
        }
        if (failure) std::rethrow_exception(failure);
    }

    std::size_t connections() override { return store_.pool().stats().max_conns; }
    void close() override { store_.close(boost::asio::use_future).get(); }

private:
    engine& engine_;
    const arguments& chosen_;
    pgstate::postgres_store store_;
};

} // namespace

std::unique_ptr<runner> make_store_runner(engine& runs_on, const arguments& chosen, const std::string& url) {
    return std::make_unique<store_runner>(runs_on, chosen, url);
}

} // namespace bench
