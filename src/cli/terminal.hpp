#pragma once

#include "arguments.hpp"

#include <boost/json/value.hpp>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::cli {

/// What standard input, output and error are.
struct terminal {
    bool input = false;  ///< a person can be asked
    bool output = false; ///< a person reads the results
    bool errors = false; ///< a person sees the progress
    bool colored = false;

    static terminal look(color_mode wanted);

    /// `text` in bold or in an ANSI colour, where results are coloured.
    std::string painted(std::string_view text, std::string_view code) const;
};

/// Writes to standard output. \throws failure - it cannot be written (a full disk)
void write_out(std::string_view text);
/// The same, as one line.
void write_json(const boost::json::value& line);
void flush_out();

/// Rows for people (columns in line, a heading) or for programs (tab-separated, no heading); written page by page.
class table_writer {
public:
    table_writer(const terminal& screen, std::vector<std::string> heading);

    using row = std::vector<std::string>;
    /// \param rows  cells of any text: what would break a line is escaped
    void write(std::vector<row> rows);

private:
    void write_aligned(const row& cells, bool bold);

    const terminal& screen_;
    row heading_;
    std::vector<std::size_t> widths_;
    bool begun_ = false;
};

/// A line on standard error that says how far a transfer is; ten times a second at most, and only for a person.
class progress {
public:
    explicit progress(bool shown) : shown_(shown) {}
    ~progress() { clear(); }
    progress(const progress&) = delete;
    progress& operator=(const progress&) = delete;

    /// \param part, whole  in any unit; whole 0: not known
    void show(std::int64_t states, std::uint64_t part, std::uint64_t whole);
    void clear();

private:
    using clock = std::chrono::steady_clock;

    const bool shown_;
    bool visible_ = false;
    const clock::time_point begun_ = clock::now();
    clock::time_point last_{};
};

} // namespace pgstate::cli
