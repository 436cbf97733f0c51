#ifndef PGSTATE_BENCH_REPORT_HPP
#define PGSTATE_BENCH_REPORT_HPP

#include "arguments.hpp"
#include "phase.hpp"

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

namespace bench {

/// What the report says about the run besides what the callers counted.
struct circumstances {
    std::size_t connections = 0;
    std::optional<std::int64_t> statements; ///< none: the server could not tell
    std::optional<double> telemetry_ratio;  ///< throughput with telemetry against without; none: not compared
    std::string server_version;
    bool durable = true;
};

void write_report(std::ostream& to, const arguments& chosen, const outcome& counted,
                  const circumstances& around);

} // namespace bench

#endif
