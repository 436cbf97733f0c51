#include "callers.hpp"
#include "pqxx_store.hpp"
#include "runner.hpp"
#include "server.hpp"

namespace bench {
namespace {

class pqxx_runner final : public runner {
public:
    pqxx_runner(engine& runs_on, const arguments& chosen, const std::string& url)
        : engine_(runs_on), chosen_(chosen), store_(runs_on.executor(), url, chosen.table, chosen.conns) {}

    outcome run(const workload& work, phase& now) override {
        return run_callers(engine_, store_, work, now, chosen_);
    }

    void flush_statistics() override {
        store_.for_each_connection([](pqxx::connection& c) { bench::flush_statistics(c); });
    }
    std::size_t connections() override { return store_.connections(); }
    void close() override { store_.close(); }

private:
    engine& engine_;
    const arguments& chosen_;
    pqxx_store store_;
};

} // namespace

std::unique_ptr<runner> make_pqxx_runner(engine& runs_on, const arguments& chosen, const std::string& url) {
    return std::make_unique<pqxx_runner>(runs_on, chosen, url);
}

} // namespace bench
