#ifndef AGENT_RUNTIME_OPTIONS_HPP
#define AGENT_RUNTIME_OPTIONS_HPP

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>

namespace demo {

/// A mistake on the command line: reported without the fuss of a failure.
struct usage_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// What the command line says.
struct options {
    std::string database_url;
    std::string table;
    std::filesystem::path transcripts;
    std::filesystem::path ack_file;
    unsigned agents = 0;
    unsigned sessions = 0; ///< of each agent
    unsigned threads = 0;
    std::uint64_t window = 0;          ///< messages that an agent has at hand when it begins; 0: all
    bool rows = false;                 ///< each message is a row of its own
    std::uint64_t kill_after = 0;      ///< acknowledged turns; 0: never
    std::chrono::milliseconds pace{0}; ///< what a turn takes besides its save, on average
    bool reset = false;                ///< forget the previous run, then run
    bool clean = false;                ///< forget the previous run, and nothing else
};

/// \returns nothing after --help, which it prints
/// \throws usage_error
std::optional<options> parse_options(int argc, const char* const* argv);

} // namespace demo

#endif
