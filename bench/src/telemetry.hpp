#ifndef PGSTATE_BENCH_TELEMETRY_HPP
#define PGSTATE_BENCH_TELEMETRY_HPP

#include "arguments.hpp"
#include "pgstate/config.hpp"

namespace bench {

/// Gives the store the adapters that `which` names, as a program would: spdlog at level info into a file that nobody
/// reads, Prometheus metrics, every operation traced by OpenTelemetry and exported to nowhere.
/// \throws usage_error - an adapter was not built
void add_telemetry(pgstate::config& to, telemetry_kind which);

} // namespace bench

#endif
