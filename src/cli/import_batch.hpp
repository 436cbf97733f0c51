#pragma once

#include "arguments.hpp"
#include <pgstate/error.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace pqxx {
class connection;
}

namespace pgstate::cli {

struct import_counts {
    std::int64_t lines = 0;
    std::int64_t written = 0; ///< the others were there already, or have expired

    import_counts& operator+=(const import_counts& more) {
        lines += more.lines;
        written += more.written;
        return *this;
    }
};

/// Some lines of an export, which one statement writes: their times included, but each with a new version.
class import_batch {
public:
    import_batch(std::string table, on_conflict conflict) : table_(std::move(table)), conflict_(conflict) {}

    /// \pre `line` is a document with its keys
    void add(std::string line, std::size_t number);

    /// As much as one statement should have.
    bool full() const noexcept;
    bool empty() const noexcept { return lines_.empty(); }
    std::size_t size() const noexcept { return lines_.size(); }
    std::size_t first_line() const noexcept { return numbers_.front(); }
    const std::string& first_text() const noexcept { return lines_.front(); }

    /// An empty one that goes on where this one ends.
    import_batch next() const { return {table_, conflict_}; }
    /// Of one line.
    import_batch only(std::size_t index) const;

    /// Writes all or, if it throws, nothing. Blocks.
    /// \throws error conflict - on_conflict::fail, and a state is there that differs
    import_counts write(pqxx::connection& connection) const;

    /// Whether one line alone may be to blame for `e`, and others could be written.
    bool may_hold_a_culprit(const error& e) const;

private:
    std::string statement(const std::string& array) const;

    std::string table_; ///< quoted
    on_conflict conflict_;
    std::vector<std::string> lines_;
    std::vector<std::size_t> numbers_; ///< where each of them stands in the file
    std::size_t bytes_ = 0;
};

} // namespace pgstate::cli
