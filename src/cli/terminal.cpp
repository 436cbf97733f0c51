#include "terminal.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <boost/json/serialize.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <utility>

namespace pgstate::cli {
namespace {

/// Code points: what most characters take on a screen.
std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(
        std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

} // namespace

terminal terminal::look(color_mode wanted) {
    terminal screen;
    screen.input = isatty(STDIN_FILENO) == 1;
    screen.output = isatty(STDOUT_FILENO) == 1;
    screen.errors = isatty(STDERR_FILENO) == 1;
    const char* const refused = std::getenv("NO_COLOR");
    const char* const kind = std::getenv("TERM");
    const bool fitting = screen.output && !(refused && *refused) && kind && std::string_view(kind) != "dumb";
    screen.colored = wanted == color_mode::always || (wanted == color_mode::automatic && fitting);
    return screen;
}

std::string terminal::painted(std::string_view text, std::string_view code) const {
    if (!colored) return std::string(text);
    return std::string("\x1b[").append(code).append("m").append(text).append("\x1b[0m");
}

void write_out(std::string_view text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
        throw failure(exit_code::failed, "standard output cannot be written");
}

void write_json(const boost::json::value& line) {
    write_out(boost::json::serialize(line) + '\n');
}

void flush_out() {
    if (std::fflush(stdout) != 0) throw failure(exit_code::failed, "standard output cannot be written");
}

table_writer::table_writer(const terminal& screen, std::vector<std::string> heading)
    : screen_(screen), heading_(std::move(heading)), widths_(heading_.size()) {}

void table_writer::write(std::vector<row> rows) {
    for (auto& cells : rows)
        for (auto& cell : cells)
            cell = printable(cell);
    if (!screen_.output) {
        for (const auto& cells : rows) {
            std::string line;
            for (const auto& cell : cells)
                line.append(line.empty() ? "" : "\t").append(cell);
            write_out(line + '\n');
        }
        return;
    }
    if (rows.empty()) return;
    const auto widen = [this](const row& cells) {
        for (std::size_t i = 0; i < cells.size(); ++i)
            widths_[i] = std::max(widths_[i], width_of(cells[i]));
    };
    widen(heading_);
    std::ranges::for_each(rows, widen);
    if (!std::exchange(begun_, true)) write_aligned(heading_, true);
    for (const auto& cells : rows)
        write_aligned(cells, false);
}

void table_writer::write_aligned(const row& cells, bool bold) {
    std::string line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        line += cells[i];
        if (i + 1 < cells.size()) line.append(widths_[i] - width_of(cells[i]) + 2, ' ');
    }
    write_out((bold ? screen_.painted(line, "1") : line) + '\n');
}

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
