#pragma once

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

namespace pgstate::cli {

/// Where an export goes: a file, or standard output.
class export_file {
public:
    /// \param path  empty or "-": standard output
    /// \param resume  keep the complete lines that the file has, and cut off what follows them
    /// \throws failure
    export_file(const std::string& path, bool resume);

    /// The last line that was kept; empty: none.
    const std::string& last_line() const noexcept { return last_line_; }

    void write(std::string_view lines);

    /// Everything that was written is on the disk when this returns.
    void finish();

private:
    void keep_complete_lines();
    [[noreturn]] void throw_cannot(const char* what) const;

    std::string path_;
    std::unique_ptr<std::FILE, int (*)(std::FILE*)> owned_;
    std::FILE* file_;
    std::string last_line_;
};

} // namespace pgstate::cli
