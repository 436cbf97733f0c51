#ifndef PGSTATE_BENCH_OPEN_STORE_HPP
#define PGSTATE_BENCH_OPEN_STORE_HPP

#include "arguments.hpp"
#include "engine.hpp"
#include "pgstate/postgres_store.hpp"

#include <string>

namespace bench {

pgstate::postgres_store open_store(engine& runs_on, const arguments& chosen, const std::string& url);

} // namespace bench

#endif
