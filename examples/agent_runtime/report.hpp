#ifndef AGENT_RUNTIME_REPORT_HPP
#define AGENT_RUNTIME_REPORT_HPP

#include "meter.hpp"
#include "verify.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iosfwd>

namespace demo {

/// What is known at the end of a run.
struct outcome {
    std::size_t agents = 0;
    std::size_t sessions = 0;
    std::size_t turns = 0; ///< of all transcripts
    std::chrono::duration<double> elapsed{0};
    findings before; ///< when the run began
    findings after;
    bool interrupted = false;

    /// Sessions that an earlier run had begun and not finished.
    std::size_t resumed() const { return before.sessions - before.finished; }
    std::size_t lost() const { return std::max(before.lost, after.lost); }
    std::size_t repeated() const { return after.repeated; }
    std::size_t altered() const { return after.altered; }

    /// Nothing was lost, repeated or altered, and every session has its whole transcript.
    bool clean() const { return lost() == 0 && after.clean() && after.finished == sessions; }
};

void print_report(std::ostream& out, const outcome& result, const meter& counts);

/// One line that scripts can look for.
void print_verdict(std::ostream& out, const outcome& result);

} // namespace demo

#endif
