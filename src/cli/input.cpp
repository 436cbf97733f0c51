#include "input.hpp"

#include "failure.hpp"

#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pgstate::cli {
namespace {

constexpr std::size_t chunk = std::size_t{256} << 10;

[[noreturn]] void throw_cannot(const std::string& what, const std::string& name) {
    throw failure(exit_code::failed, "cannot " + what + " " + name + ": " + std::strerror(errno));
}

} // namespace

input::input(const boost::asio::any_io_executor& io, const std::string& path) {
    const bool standard = path.empty() || path == "-";
    name_ = standard ? "standard input" : path;
    descriptor_ = standard ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor_ < 0) throw_cannot("open", name_);
    struct stat about {};
    if (fstat(descriptor_, &about) != 0) return;
    if (S_ISREG(about.st_mode)) size_ = static_cast<std::uint64_t>(about.st_size);
    if (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode) || isatty(descriptor_) == 1) {
        flags_ = fcntl(descriptor_, F_GETFL);
        waits_.emplace(io, descriptor_);
    }
}

input::~input() {
    if (waits_) {
        fcntl(descriptor_, F_SETFL, flags_); // Asio makes it non-blocking for everybody who has it
        waits_->release();
    }
    close(descriptor_);
}

boost::asio::awaitable<bool> input::fill() {
    buffer_.erase(0, at_);
    at_ = 0;
    const auto before = buffer_.size();
    for (;;) {
        if (waits_)
            co_await waits_->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                                        boost::asio::use_awaitable);
        buffer_.resize(before + chunk);
        const auto got = ::read(descriptor_, buffer_.data() + before, chunk);
        buffer_.resize(before + static_cast<std::size_t>(got > 0 ? got : 0));
        if (got >= 0) {
            bytes_read_ += static_cast<std::uint64_t>(got);
            co_return got > 0;
        }
        if (errno != EINTR && errno != EAGAIN) throw_cannot("read", name_);
    }
}

boost::asio::awaitable<std::optional<input::line>> input::read_line() {
    std::size_t searched = at_;
    for (;;) {
        const auto end = buffer_.find('\n', searched);
        if (end != buffer_.npos) {
            line found{buffer_.substr(at_, end - at_), true};
            at_ = end + 1;
            co_return found;
        }
        const auto waiting = buffer_.size() - at_;
        const bool more = co_await fill();
        searched = at_ + waiting;
        if (more) continue;
        if (at_ == buffer_.size()) co_return std::nullopt;
        line last{buffer_.substr(at_), false};
        at_ = buffer_.size();
        co_return last;
    }
}

boost::asio::awaitable<std::string> input::read_all() {
    for (bool more = true; more;) {
        const bool got = co_await fill(); // as the loop's condition g++ 12 miscompiles it
        more = got;
    }
    co_return std::move(buffer_);
}

} // namespace pgstate::cli
