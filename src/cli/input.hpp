#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/system/error_code.hpp>

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

namespace pgstate::cli {

/// Reads a file or standard input without holding up the event loop, so that a signal ends the wait for a slow pipe.
class input {
public:
    /// \param path  empty or "-": standard input
    /// \throws failure - it cannot be opened
    input(const boost::asio::any_io_executor& io, const std::string& path);
    ~input();
    input(const input&) = delete;
    input& operator=(const input&) = delete;

    /// The next line without its end, and whether it had one: only the last may lack it. Nothing at the end.
    struct line {
        std::string text;
        bool whole = true;
    };
    boost::asio::awaitable<std::optional<line>> read_line();

    boost::asio::awaitable<std::string> read_all();

    /// Goes back to the beginning; false: what is no regular file cannot.
    bool rewind();

    /// Of the lines that were given out.
    std::uint64_t bytes_read() const noexcept { return bytes_read_; }
    /// Of a regular file; 0: not known.
    std::uint64_t size() const noexcept { return size_; }
    const std::string& name() const noexcept { return name_; }

private:
    [[noreturn]] void throw_cannot(const char* what, const boost::system::error_code& why) const;

    std::string name_;
    boost::asio::posix::stream_descriptor from_;
    int flags_ = 0; ///< of standard input, which other processes share
    std::uint64_t size_ = 0;
    std::optional<off_t> begin_; ///< of a regular file: where it was opened
    std::uint64_t bytes_read_ = 0;
    std::string buffer_; ///< what has been read and not given out
};

} // namespace pgstate::cli
