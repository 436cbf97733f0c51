#ifndef PGSTATE_BENCH_LONG_SESSIONS_HPP
#define PGSTATE_BENCH_LONG_SESSIONS_HPP

#include "arguments.hpp"
#include "engine.hpp"

#include <string>

namespace bench {

/// Measures sessions with long histories, as `chosen.long_part` says, in both layouts by turns; writes a line of JSON for each
/// measurement.
void measure_long_sessions(engine& runs_on, const arguments& chosen, const std::string& url);

} // namespace bench

#endif
