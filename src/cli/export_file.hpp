#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace pgstate::cli {

/// Where an export goes: a file, or standard output. A file is written beside its place, as PATH.part, and takes it when the
/// export is complete; until then what is there stays as it is.
class export_file {
public:
    /// \param path    empty or "-": standard output
    /// \param resume  go on behind the complete lines of PATH.part or, where there is none, of the file itself
    /// \throws failure
    export_file(const std::string& path, bool resume);

    /// The line to go on behind; empty: none.
    const std::string& last_line() const noexcept { return last_line_; }

    void write(std::string_view lines);

    /// Everything that was written is on the disk, in the file's place, when this returns.
    void finish();

private:
    using handle = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

    handle open(const std::string& path, const char* mode) const;
    void find_last_line();
    void begin();
    [[noreturn]] void throw_cannot(const char* what, const std::string& path) const;

    std::string path_;    ///< for messages
    std::string written_; ///< the name of what is written
    std::string resumed_; ///< what has lines already; empty: nothing
    off_t kept_ = 0;      ///< so many bytes of it
    std::string last_line_;
    handle owned_;
    std::FILE* file_ = nullptr; ///< null: not begun
};

} // namespace pgstate::cli
