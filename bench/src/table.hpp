#ifndef PGSTATE_BENCH_TABLE_HPP
#define PGSTATE_BENCH_TABLE_HPP

#include "arguments.hpp"
#include "engine.hpp"
#include "workload.hpp"

#include <string>

namespace bench {

/// Makes the table and its rows what `chosen` asks for, and leaves nothing for the server to tidy up during the run.
/// \throws std::runtime_error  the table holds something else
void prepare_table(engine& runs_on, const arguments& chosen, const workload& work, const std::string& url);

} // namespace bench

#endif
