// A logger and metrics of your own, where no adapter fits: two small classes. What they get is lent for the call; copy what
// you keep. Both are called from any thread, several at once.
#include "support/run_example.hpp"
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <atomic>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <sstream>
#include <string>
#include <variant>

namespace asio = boost::asio;

namespace {

// [logger]
class line_logger final : public pgstate::logger {
public:
    bool enabled(pgstate::log_level level) const override { return level >= pgstate::log_level::info; }

    void log(const pgstate::log_record& record) override {
        std::ostringstream line;
        line << to_string(record.level) << ": " << record.message << std::boolalpha;
        for (const auto& [key, value] : record.attributes)
            std::visit([&line, name = key](const auto& v) { line << ' ' << name << '=' << v; }, value);
        std::cout << line.str() + '\n';
    }
};
// [logger]

class sums final : public pgstate::metrics {
public:
    std::unique_ptr<series> open(const pgstate::instrument& what,
                                 std::span<const pgstate::attribute>) override {
        std::lock_guard lock(mutex_);
        return std::make_unique<sum>(sums_[std::string(what.name)]); // the labels are added up as well
    }

    double of(const std::string& name) {
        std::lock_guard lock(mutex_);
        return sums_[name];
    }

private:
    // Recorded into once for each operation or statement: this is where it has to be cheap.
    class sum final : public series {
    public:
        explicit sum(std::atomic<double>& value) : value_(value) {}
        void record(double value) override { value_ += value; }

    private:
        std::atomic<double>& value_;
    };

    std::mutex mutex_;
    std::map<std::string, std::atomic<double>> sums_;
};

asio::awaitable<void> run(pgstate::config config) {
    auto metrics = std::make_shared<sums>();
    config.logger = std::make_shared<line_logger>();
    config.metrics = metrics;
    {
        auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
        pgstate::agent_state state("agent-1", "session-1");
        for (int step = 0; step < 10; ++step) {
            state.data["step"] = step;
            co_await store.save(state);
        }
        co_await store.close();
    }
    std::cout << "in operations: " << metrics->of("db.client.operation.duration") * 1e3 << " ms\n"
              << "in statements: " << metrics->of("pgstate.statement.duration") * 1e3 << " ms\n";
    expect(metrics->of("db.client.operation.duration") > 0, "durations are recorded");
}

} // namespace

int main(int argc, char** argv) {
    return run_example(argc, argv, run);
}
