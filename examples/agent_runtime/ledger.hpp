#ifndef AGENT_RUNTIME_LEDGER_HPP
#define AGENT_RUNTIME_LEDGER_HPP

#include "transcripts.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>

namespace demo {

/// Which turns were acknowledged: what the database must still have after a crash. An append-only file, because the
/// proof of what a database promised cannot be in the database. Each line is "agent session turn checksum", written
/// with one write(2), so that it is the kernel's, and survives SIGKILL, before the acknowledgement counts.
///
/// Thread safety: every member may be called from any thread.
class ledger {
public:
    /// Opens or creates the file and reads what earlier runs acknowledged.
    /// \param identity  what is being replayed, and where: a file made for another one is refused
    /// \throws std::runtime_error - the file cannot be used; names it
    ledger(const std::filesystem::path& file, const std::string& identity);
    ~ledger();
    ledger(const ledger&) = delete;
    ledger& operator=(const ledger&) = delete;

    /// Notes that the turns before `turns` of a session are saved; those noted before are skipped.
    /// \returns how many were new
    std::size_t acknowledge(session_id id, const transcript& script, std::size_t turns);

    /// How many turns of each session are acknowledged.
    std::map<session_id, std::size_t> acknowledged() const;

private:
    void read(const std::filesystem::path& file, const std::string& header);
    void read_line(const std::string& line);
    void append(const std::string& text);

    mutable std::mutex mutex_;
    std::map<session_id, std::size_t> acknowledged_;
    int descriptor_ = -1;
};

} // namespace demo

#endif
