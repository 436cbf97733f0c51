#ifndef PGSTATE_CLI_INPUT_HPP
#define PGSTATE_CLI_INPUT_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include <cstddef>
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

    std::uint64_t bytes_read() const noexcept { return bytes_read_; }
    /// Of a regular file; 0: not known.
    std::uint64_t size() const noexcept { return size_; }
    const std::string& name() const noexcept { return name_; }

private:
    /// False at the end.
    boost::asio::awaitable<bool> fill();

    std::string name_;
    int descriptor_ = -1;
    int flags_ = 0; ///< of standard input, which other processes share
    std::uint64_t size_ = 0;
    std::uint64_t bytes_read_ = 0;
    std::string buffer_;
    std::size_t at_ = 0;                                         ///< what of buffer_ has been given out
    std::optional<boost::asio::posix::stream_descriptor> waits_; ///< nothing: a file, which is always ready
};

} // namespace pgstate::cli

#endif
