#include "input.hpp"

#include "failure.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace pgstate::cli {

namespace asio = boost::asio;

input::input(const asio::any_io_executor& io, const std::string& path) : from_(io) {
    const bool standard = path.empty() || path == "-";
    name_ = standard ? "standard input" : path;
    const int descriptor = standard ? dup(STDIN_FILENO) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) throw_cannot("open", {errno, boost::system::system_category()});
    flags_ = fcntl(descriptor, F_GETFL);
    from_.assign(descriptor);
    struct stat about {};
    if (fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode)) {
        size_ = static_cast<std::uint64_t>(about.st_size);
        begin_ = lseek(descriptor, 0, SEEK_CUR);
    }
}

input::~input() {
    fcntl(from_.native_handle(), F_SETFL, flags_); // Asio makes it non-blocking for everybody who has it
}

asio::awaitable<std::optional<input::line>> input::read_line() {
    boost::system::error_code failed;
    auto end = co_await asio::async_read_until(from_, asio::dynamic_buffer(buffer_), '\n',
                                               asio::redirect_error(asio::use_awaitable, failed));
    if (failed && failed != asio::error::eof) throw_cannot("read", failed);
    if (failed && buffer_.empty()) co_return std::nullopt;
    line found{buffer_.substr(0, failed ? buffer_.size() : end - 1), !failed};
    if (failed) end = buffer_.size();
    buffer_.erase(0, end);
    bytes_read_ += end;
    co_return found;
}

asio::awaitable<std::string> input::read_all() {
    buffer_.reserve(size_ + 1); // the byte behind the end, which there is none to read
    boost::system::error_code failed;
    co_await asio::async_read(from_, asio::dynamic_buffer(buffer_),
                              asio::redirect_error(asio::use_awaitable, failed));
    if (failed != asio::error::eof) throw_cannot("read", failed);
    co_return std::move(buffer_);
}

bool input::rewind() {
    if (!begin_ || lseek(from_.native_handle(), *begin_, SEEK_SET) < 0) return false;
    buffer_.clear();
    bytes_read_ = 0;
    return true;
}

void input::throw_cannot(const char* what, const boost::system::error_code& why) const {
    throw failure(exit_code::failed, std::string("cannot ") + what + " " + name_ + ": " + why.message());
}

} // namespace pgstate::cli
