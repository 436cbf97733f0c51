#pragma once

#include "pgstate/error.hpp"

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

namespace pgstate::embedded {

/// The user that PostgreSQL's programs run as.
struct account {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0;
    std::vector<gid_t> groups;
    /// From this process's own user: children have to change to it, files have to be given to it.
    bool differs = false;

    /// The name of `uid`, or its number after a '#' if it has none.
    static std::string name_of(uid_t uid);

    /// Whether this user may pass through every directory of `path`, as far as the mode bits say.
    bool can_reach(const std::filesystem::path& path) const;

    /// Gives `path` to this user, if that is not this process's own; `mode` in either case.
    void take(const std::filesystem::path& path, mode_t mode) const;

    /// The same for a file that is open.
    void take(int descriptor, mode_t mode) const;
};

/// This process's own user, or where that is root `run_as`, or "nobody" if there is no such user.
/// \throws error invalid_argument - `run_as` is root; unavailable - neither user exists
account choose_account(const std::string& run_as);

/// Throws an error of embedded_server.
[[noreturn]] void fail(errc code, const std::string& message);
/// The same: unavailable, for the reason that errno has.
[[noreturn]] void fail_with_errno(const std::string& what);

} // namespace pgstate::embedded
