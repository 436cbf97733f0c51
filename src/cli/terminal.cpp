#include "terminal.hpp"

#include "failure.hpp"
#include "text.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace pgstate::cli {
namespace {

bool is_set(const char* variable) {
    const char* value = std::getenv(variable);
    return value && *value;
}

bool dumb() {
    const char* kind = std::getenv("TERM");
    return !kind || std::string_view(kind) == "dumb";
}

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
    screen.colored = wanted == color_mode::always ||
                     (wanted == color_mode::automatic && screen.output && !is_set("NO_COLOR") && !dumb());
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

} // namespace pgstate::cli
