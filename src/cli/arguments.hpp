#pragma once

#include <pgstate/config.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace pgstate::cli {

enum class color_mode { automatic, always, never };
enum class on_conflict { fail, skip, replace };

struct command;

/// What the command line says. Each command looks at its own.
struct arguments {
    const command* chosen = nullptr;

    config settings; ///< no migration, unless the command is about that
    bool json = false;
    color_mode color = color_mode::automatic;

    std::string agent; ///< empty: all
    std::string session;
    std::string file; ///< empty or "-": standard input or output
    std::optional<std::size_t> limit{};
    std::optional<std::int64_t> if_version{};
    std::optional<std::int64_t> at{};    ///< a version
    std::optional<std::int64_t> until{}; ///< of diff: the later version; nothing: the present one
    std::string label;
    std::string new_session;
    std::optional<std::size_t> keep{};
    std::optional<std::chrono::milliseconds> older_than{};
    std::optional<std::chrono::milliseconds> ttl{};
    std::chrono::milliseconds interval{500};
    bool all = false;
    bool yes = false;
    bool dry_run = false;
    std::optional<history_layout> history{}; ///< where histories are to be; nothing: where they are
    std::optional<std::size_t> batch{};      ///< states in a transaction
    bool mend = false;
    bool resume = false;
    bool skip_unreadable = false;
    on_conflict conflict = on_conflict::fail;
    std::string shell;
};

/// Reads the command line. Nothing: it asked for help, for the version or for a completion script, which was printed.
/// \throws failure of exit_code::usage
std::optional<arguments> parse_arguments(int argc, const char* const* argv);

} // namespace pgstate::cli
