#pragma once

#include "arguments.hpp"
#include "histories.hpp"
#include <pgstate/detail/document_check.hpp>
#include <pgstate/error.hpp>

#include <pqxx/transaction>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

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
    import_batch(history_tables tables, on_conflict conflict)
        : tables_(std::move(tables)), conflict_(conflict) {}

    /// \param line  a document with its keys
    /// \param row   what it says of the row
    void add(std::string line, const detail::row_members& row, std::size_t number);

    /// As much as one statement should have.
    bool full() const noexcept;
    bool empty() const noexcept { return lines_.empty(); }

    /// An empty one that goes on where this one ends.
    import_batch next() const { return {tables_, conflict_}; }

    /// Writes all or, if it throws, nothing. Blocks.
    /// \param culprit  null: all lines at once. Otherwise one after the other, so that the number of the one that is refused
    ///                 stays there. Two of one key, which cannot be in one statement, are written in this way.
    /// \throws error conflict - on_conflict::fail, and a state is there that differs
    import_counts write(pqxx::connection& connection, std::atomic<std::size_t>* culprit = nullptr) const;

    /// Whether one line may be to blame for `e`.
    bool may_hold_a_culprit(const error& e) const;

private:
    std::string statement(const history_tables& tables, const std::string& rows) const;
    std::string rows(pqxx::work& sql, std::size_t first, std::size_t count) const;
    std::int64_t write_lines(pqxx::work& sql, const history_tables& tables, std::size_t first,
                             std::size_t count) const;

    history_tables tables_; ///< which have not been looked at
    on_conflict conflict_;
    struct line {
        std::string text;
        detail::row_members row; ///< without the keys
        std::size_t number;      ///< where it stands in the file
    };
    std::vector<line> lines_;
    std::size_t bytes_ = 0;
};

} // namespace pgstate::cli
