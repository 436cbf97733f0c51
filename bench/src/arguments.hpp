#ifndef PGSTATE_BENCH_ARGUMENTS_HPP
#define PGSTATE_BENCH_ARGUMENTS_HPP

#include "pgstate/config.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>

namespace bench {

enum class operation { load, save, list, erase, append, rewrite, mixed };
enum class run_mode { batched, single, pqxx_threads };
enum class token_kind { awaitable, deferred, callback };
enum class telemetry_kind { none, spdlog, prometheus, spdlog_prometheus, otel, all };
enum class output_format { json, table };

using seconds = std::chrono::duration<double>;

/// What one run is told. Names that stand in the output are kept as they were given.
struct arguments {
    operation op{};
    std::string op_name;
    run_mode mode{};
    std::string mode_name;
    token_kind token{};
    std::string token_name;
    pgstate::index_mode indexes{};
    std::string indexes_name;
    telemetry_kind telemetry{};
    std::string telemetry_name;
    output_format format{};

    unsigned callers = 0;
    unsigned agents = 0;
    unsigned sessions = 0;
    std::size_t state_bytes = 0;
    std::size_t conns = 0;
    unsigned threads = 0;
    seconds duration{};
    seconds warmup{};
    std::uint64_t seed = 0;

    std::string url; ///< empty: a private server
    std::string table;
    bool fill_only = false;
    std::string long_part; ///< not empty: what `--long` measures, in place of an operation
    pgstate::batch_config batch;
};

/// Thrown for arguments that are refused.
class usage_error : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// Nothing when help was asked for and shown.
/// \throws usage_error
std::optional<arguments> parse_arguments(int argc, const char* const* argv);

} // namespace bench

#endif
