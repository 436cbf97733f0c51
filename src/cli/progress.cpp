#include "progress.hpp"

#include "text.hpp"

#include <algorithm>
#include <iostream>
#include <string>

namespace pgstate::cli {

void progress::show(std::int64_t states, std::uint64_t part, std::uint64_t whole) {
    const auto now = clock::now();
    if (!shown_ || now - last_ < std::chrono::milliseconds(100)) return;
    last_ = now;
    std::string line = "\r\x1b[K";
    if (whole > 0) {
        constexpr std::size_t width = 30;
        // An estimate can turn out to be too low.
        const auto done = std::min(1.0, static_cast<double>(part) / static_cast<double>(whole));
        const auto filled = static_cast<std::size_t>(done * width);
        line.append("[").append(filled, '#').append(width - filled, '.').append("] ");
        line.append(std::to_string(static_cast<int>(done * 100))).append(" %  ");
    }
    line.append(grouped(states)).append(" states");
    const auto seconds = std::chrono::duration<double>(now - begun_).count();
    if (seconds >= 0.5)
        line.append(", ")
            .append(grouped(static_cast<std::int64_t>(static_cast<double>(states) / seconds)))
            .append(" a second");
    std::cerr << line << std::flush;
    visible_ = true;
}

void progress::clear() {
    if (visible_) std::cerr << "\r\x1b[K" << std::flush;
    visible_ = false;
}

} // namespace pgstate::cli
