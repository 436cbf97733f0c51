#include "report.hpp"

#include <algorithm>
#include <iomanip>
#include <ostream>
#include <vector>

namespace demo {
namespace {

double percentile(const std::vector<double>& sorted, double part) {
    if (sorted.empty()) return 0;
    return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
}

std::ostream& row(std::ostream& out, const char* name) {
    return out << "  " << std::left << std::setw(24) << name << std::right << std::setw(8);
}

void print_operation(std::ostream& out, const char* name, const std::vector<double>& sorted, double seconds) {
    const auto rate = seconds > 0 ? static_cast<double>(sorted.size()) / seconds : 0.0;
    row(out, name) << sorted.size() << std::fixed << std::setprecision(0) << std::setw(12) << rate
                   << std::setprecision(2) << std::setw(10) << percentile(sorted, 0.5) << std::setw(10)
                   << percentile(sorted, 0.99) << '\n';
}

} // namespace

void print_report(std::ostream& out, const outcome& result, const meter& counts) {
    row(out, "agents") << result.agents << '\n';
    row(out, "sessions") << result.sessions << "   " << result.resumed() << " resumed, "
                         << result.before.finished << " already complete\n";
    row(out, "turns in total") << result.turns << '\n';
    row(out, "turns found at start") << result.before.found << "   " << result.before.unacknowledged
                                     << " of them saved, but not acknowledged\n";
    row(out, "turns saved in this run") << counts.acknowledged << '\n';
    if (counts.reloads != 0) row(out, "states loaded again") << counts.reloads << '\n';

    const double seconds = result.elapsed.count();
    row(out, "operation") << "count" << std::setw(12) << "per second" << std::setw(10) << "p50 ms"
                          << std::setw(10) << "p99 ms" << '\n';
    print_operation(out, "load", counts.loads.sorted(), seconds);
    print_operation(out, "save", counts.saves.sorted(), seconds);
}

void print_verdict(std::ostream& out, const outcome& result) {
    out << "verdict: resumed " << result.resumed() << " sessions, " << result.lost() << " turns lost, "
        << result.repeated() << " turns repeated";
    if (result.altered() != 0) out << ", " << result.altered() << " turns altered";
    const std::size_t unfinished = result.sessions - std::min(result.sessions, result.after.finished);
    if (unfinished != 0) out << ", " << unfinished << " sessions unfinished";
    out << '\n';
}

} // namespace demo
