#include "export_file.hpp"

#include "failure.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pgstate::cli {
namespace {

/// The position behind the last line feed in the first `size` bytes; 0: there is none.
off_t behind_last_line_feed(int file, off_t size) {
    std::string block;
    while (size > 0) {
        const auto length = std::min<off_t>(size, 65'536);
        block.resize(static_cast<std::size_t>(length));
        if (pread(file, block.data(), block.size(), size - length) != length) return -1;
        if (const auto at = block.rfind('\n'); at != block.npos)
            return size - length + static_cast<off_t>(at) + 1;
        size -= length;
    }
    return 0;
}

} // namespace

export_file::export_file(const std::string& path, bool resume)
    : path_(path), owned_(nullptr, &std::fclose), file_(stdout) {
    if (path.empty() || path == "-") {
        path_ = "standard output";
        return;
    }
    const bool there = resume && access(path.c_str(), F_OK) == 0;
    owned_.reset(std::fopen(path.c_str(), there ? "r+e" : "we"));
    file_ = owned_.get();
    if (!file_) throw_cannot("open");
    if (there) keep_complete_lines();
}

void export_file::keep_complete_lines() {
    const int descriptor = fileno(file_);
    struct stat about {};
    if (fstat(descriptor, &about) != 0) throw_cannot("read");
    const auto end = behind_last_line_feed(descriptor, about.st_size);
    const auto begin = end > 0 ? behind_last_line_feed(descriptor, end - 1) : 0;
    if (end < 0 || begin < 0) throw_cannot("read");
    if (end > 0) {
        last_line_.resize(static_cast<std::size_t>(end - begin - 1));
        if (pread(descriptor, last_line_.data(), last_line_.size(), begin) !=
            static_cast<ssize_t>(last_line_.size()))
            throw_cannot("read");
    }
    if (ftruncate(descriptor, end) != 0 || std::fseek(file_, 0, SEEK_END) != 0) throw_cannot("write");
}

void export_file::write(std::string_view lines) {
    if (std::fwrite(lines.data(), 1, lines.size(), file_) != lines.size() || std::fflush(file_) != 0)
        throw_cannot("write");
}

void export_file::finish() {
    if (owned_ && fsync(fileno(file_)) != 0 && errno != EINVAL) throw_cannot("write"); // EINVAL: a pipe
}

void export_file::throw_cannot(const char* what) const {
    throw failure(exit_code::failed,
                  std::string("export: cannot ") + what + " " + path_ + ": " + std::strerror(errno));
}

} // namespace pgstate::cli
