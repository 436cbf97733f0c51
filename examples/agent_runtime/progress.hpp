#ifndef AGENT_RUNTIME_PROGRESS_HPP
#define AGENT_RUNTIME_PROGRESS_HPP

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>

namespace demo {

/// Shows on standard error how far a run is: a bar that moves on a terminal, now and then a line elsewhere.
/// No C++ library for this is packaged in Debian or Ubuntu, so here is a small one.
///
/// Thread safety: none; its functions are called on `executor`, which must be a strand.
class progress {
public:
    /// \param already, total  turns that were there at the start, and that there are at the end
    progress(boost::asio::any_io_executor executor, std::size_t already, std::size_t total,
             const std::atomic<std::size_t>& done);

    /// Shows the progress from now on.
    void start();

    /// Shows it for the last time.
    void finish();

private:
    void draw_bar() const;
    void print_line() const;

    boost::asio::steady_timer timer_;
    const std::size_t already_;
    const std::size_t total_;
    const std::atomic<std::size_t>& done_;
    const bool terminal_;
    const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

} // namespace demo

#endif
