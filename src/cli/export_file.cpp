#include "export_file.hpp"

#include "failure.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

namespace pgstate::cli {

namespace fs = std::filesystem;

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

export_file::export_file(const std::string& path, bool resume) : owned_(nullptr, &std::fclose) {
    if (path.empty() || path == "-") {
        path_ = written_ = "standard output";
        file_ = stdout;
        return;
    }
    std::error_code none;
    path_ = fs::is_regular_file(path, none) ? fs::canonical(path).string() : path; // a link stays one
    written_ = path_ + ".part";
    if (fs::exists(path_, none) && !fs::is_regular_file(path_, none)) {
        written_ = path_; // a device or a pipe
    } else if (resume) {
        for (const auto& each : {written_, path_})
            if (resumed_.empty() && fs::exists(each, none)) resumed_ = each;
        if (!resumed_.empty()) find_last_line();
    }
}

export_file::handle export_file::open(const std::string& path, const char* mode) const {
    handle file(std::fopen(path.c_str(), mode), &std::fclose);
    if (!file) throw_cannot("open", path);
    return file;
}

void export_file::find_last_line() {
    const auto from = open(resumed_, "re");
    const int descriptor = fileno(from.get());
    struct stat about {};
    if (fstat(descriptor, &about) != 0) throw_cannot("read", resumed_);
    kept_ = behind_last_line_feed(descriptor, about.st_size);
    const auto begin = kept_ > 0 ? behind_last_line_feed(descriptor, kept_ - 1) : 0;
    if (kept_ < 0 || begin < 0) throw_cannot("read", resumed_);
    if (kept_ == 0) return;
    last_line_.resize(static_cast<std::size_t>(kept_ - begin - 1));
    if (pread(descriptor, last_line_.data(), last_line_.size(), begin) !=
        static_cast<ssize_t>(last_line_.size()))
        throw_cannot("read", resumed_);
}

void export_file::begin() {
    std::error_code failed;
    if (resumed_ == path_ && !fs::copy_file(path_, written_, fs::copy_options::overwrite_existing, failed)) {
        errno = failed.value();
        throw_cannot("write", written_);
    }
    owned_ = open(written_, resumed_.empty() ? "we" : "r+e");
    file_ = owned_.get();
    if (!resumed_.empty() && (ftruncate(fileno(file_), kept_) != 0 || std::fseek(file_, 0, SEEK_END) != 0))
        throw_cannot("write", written_);
}

void export_file::write(std::string_view lines) {
    if (!file_) begin();
    if (std::fwrite(lines.data(), 1, lines.size(), file_) != lines.size() || std::fflush(file_) != 0)
        throw_cannot("write", written_);
}

void export_file::finish() {
    if (!file_) begin();
    if (!owned_) return;
    struct stat about {};
    if (written_ != path_ && stat(path_.c_str(), &about) == 0 &&
        fchmod(fileno(file_), about.st_mode & 07777) != 0)
        throw_cannot("write", written_);
    if (fsync(fileno(file_)) != 0 && errno != EINVAL) throw_cannot("write", written_); // EINVAL: a pipe
    if (written_ == path_) return;
    if (std::rename(written_.c_str(), path_.c_str()) != 0) throw_cannot("write", path_);
    const auto directory = fs::absolute(path_).parent_path();
    const int descriptor = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
        fsync(descriptor); // the new name
        close(descriptor);
    }
}

void export_file::throw_cannot(const char* what, const std::string& path) const {
    throw failure(exit_code::failed,
                  std::string("export: cannot ") + what + " " + path + ": " + std::strerror(errno));
}

} // namespace pgstate::cli
