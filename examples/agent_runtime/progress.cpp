#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

namespace demo {
namespace {

std::size_t terminal_width() {
    winsize size{};
    if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
    return size.ws_col;
}

} // namespace

progress::progress(boost::asio::any_io_executor executor, std::size_t already, std::size_t total,
                   const std::atomic<std::size_t>& done)
    : timer_(std::move(executor)), already_(already), total_(total), done_(done),
      terminal_(::isatty(STDERR_FILENO) == 1) {}

void progress::start() {
    timer_.expires_after(std::chrono::milliseconds(terminal_ ? 100 : 2000));
    timer_.async_wait([this](const boost::system::error_code& cancelled) {
        if (cancelled) return;
        terminal_ ? draw_bar() : print_line();
        start();
    });
}

void progress::finish() {
    timer_.cancel();
    if (!terminal_) return;
    draw_bar();
    std::fputc('\n', stderr);
}

void progress::draw_bar() const {
    const std::size_t done = done_;
    const std::size_t reached = std::min(already_ + done, total_);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
    char text[80];
    std::snprintf(text, sizeof text, "] %zu of %zu turns, %.0f/s", reached, total_,
                  static_cast<double>(done) / std::max(elapsed.count(), 0.001));
    const std::string right = text;

    const std::size_t width = std::min<std::size_t>(terminal_width(), 100);
    const std::size_t bar = width > right.size() + 12 ? width - right.size() - 2 : 10;
    const std::size_t filled = total_ == 0 ? bar : bar * reached / total_;
    const std::string line = '[' + std::string(filled, '=') + std::string(bar - filled, ' ') + right;
    std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
    std::fflush(stderr);
}

void progress::print_line() const {
    std::fprintf(stderr, "%zu of %zu turns\n", already_ + done_, total_);
}

} // namespace demo
