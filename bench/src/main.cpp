// One run of a load against the store: see --help.
#include "arguments.hpp"
#include "engine.hpp"
#include "long_sessions.hpp"
#include "pgstate/embedded_server.hpp"
#include "phase.hpp"
#include "report.hpp"
#include "runner.hpp"
#include "server.hpp"
#include "table.hpp"
#include "workload.hpp"

#include <algorithm>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

std::unique_ptr<pgstate::embedded_server> start_private_server(const bench::arguments& chosen) {
    std::cerr << "starting a private PostgreSQL\n";
    pgstate::embedded_server_options options;
    options.settings = {{"fsync", "on"}, {"max_connections", std::to_string(chosen.conns + 20)}};
    return std::make_unique<pgstate::embedded_server>(std::move(options));
}

std::unique_ptr<bench::runner> make_runner(bench::engine& engine, const bench::arguments& chosen,
                                           const std::string& url) {
    return chosen.mode == bench::run_mode::pqxx_threads ? bench::make_pqxx_runner(engine, chosen, url)
                                                        : bench::make_store_runner(engine, chosen, url);
}

bench::outcome run_phase(bench::engine& engine, bench::runner& runner, const bench::arguments& chosen,
                         const bench::workload& work, unsigned number, bench::seconds duration) {
    bench::phase now(engine, number, chosen.callers, duration);
    return runner.run(work, now);
}

double rate(const bench::outcome& of) {
    return static_cast<double>(of.latency.count()) / of.elapsed.count();
}

/// Throughput of the store with its telemetry against that of the same store without: the median of many pairs of short
/// runs, of which every other has the telemetry first. Short, so that what else the machine does falls on both.
std::optional<double> compare_telemetry(bench::engine& engine, bench::runner& with, bench::arguments chosen,
                                        const bench::workload& work, const std::string& url) {
    const auto each = std::min<bench::seconds>(chosen.duration, std::chrono::milliseconds(500));
    const auto pairs = std::max(5U, static_cast<unsigned>(chosen.duration / each));
    const auto full = chosen;
    chosen.telemetry = bench::telemetry_kind::none;
    const auto without = make_runner(engine, chosen, url);
    if (chosen.warmup.count() > 0) run_phase(engine, *without, chosen, work, 2, chosen.warmup);
    std::vector<double> ratios;
    for (unsigned pair = 0; pair < pairs && !bench::interrupted(); ++pair) {
        double rates[2];
        for (const bool second : {false, true}) {
            const bool told = (pair % 2 == 0) == second;
            rates[told ? 1 : 0] = rate(run_phase(engine, told ? with : *without, told ? full : chosen, work,
                                                 3 + 2 * pair + (second ? 1 : 0), each));
        }
        ratios.push_back(rates[1] / rates[0]);
    }
    without->close();
    if (bench::interrupted()) return std::nullopt;
    std::sort(ratios.begin(), ratios.end());
    return ratios[ratios.size() / 2];
}

// A server that went away during the run must not take the report with it.
std::optional<std::int64_t> statements(bench::runner& runner, bench::server& server) {
    try {
        runner.flush_statistics();
        return server.statements();
    } catch (const std::exception& e) {
        std::cerr << "pgstate_bench: the statements are not counted: " << e.what() << '\n';
        return std::nullopt;
    }
}

/// \returns the exit status
int measure(bench::engine& engine, const bench::arguments& chosen, const bench::workload& work,
            const std::string& url) {
    bench::server server(engine, url);
    bench::circumstances around;
    around.server_version = server.version();
    around.durable = server.durable();
    if (!around.durable)
        std::cerr << "fsync or synchronous_commit is off on this server: its saves are not durable\n";

    const auto runner = make_runner(engine, chosen, url);
    runner->flush_statistics(); // opens every connection
    around.connections = runner->connections();
    if (chosen.warmup.count() > 0) run_phase(engine, *runner, chosen, work, 0, chosen.warmup);
    if (bench::interrupted()) throw std::runtime_error("interrupted before anything was measured");

    const auto before = statements(*runner, server);
    const auto counted = run_phase(engine, *runner, chosen, work, 1, chosen.duration);
    if (const auto after = statements(*runner, server); before && after)
        around.statements = *after - *before - bench::server::statements_per_reading -
                            static_cast<std::int64_t>(around.connections);
    if (chosen.telemetry != bench::telemetry_kind::none)
        around.telemetry_ratio = compare_telemetry(engine, *runner, chosen, work, url);
    runner->close();

    write_report(std::cout, chosen, counted, around);
    if (counted.errors == 0) return 0;
    std::cerr << "pgstate_bench: " << counted.errors
              << " operations failed, the first with: " << counted.first_error << '\n';
    return 1;
}

} // namespace

int main(int argc, char** argv) {
    try {
        const auto chosen = bench::parse_arguments(argc, argv);
        if (!chosen) return 0;
        bench::end_phases_on_interrupt();
        std::unique_ptr<pgstate::embedded_server> own;
        if (chosen->url.empty()) own = start_private_server(*chosen);
        const std::string url = own ? own->connection_string() : chosen->url;

        bench::engine engine(chosen->threads);
        if (!chosen->long_part.empty()) {
            bench::measure_long_sessions(engine, *chosen, url);
            return 0;
        }
        const bench::workload work(*chosen);
        bench::prepare_table(engine, *chosen, work, url);
        return chosen->fill_only ? 0 : measure(engine, *chosen, work, url);
    } catch (const bench::usage_error& e) {
        std::cerr << "pgstate_bench: " << e.what() << "; see --help\n";
        return 2;
    } catch (const std::exception& e) {
        std::cerr << "pgstate_bench: " << e.what() << '\n';
        return 1;
    }
}
