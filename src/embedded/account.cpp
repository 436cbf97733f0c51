#include "embedded/account.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>

namespace pgstate::embedded {
namespace {

template <class Call>
std::optional<account> look_up(Call&& call) {
    std::vector<char> buffer(1024);
    passwd entry{};
    passwd* found = nullptr;
    while (call(&entry, buffer.data(), buffer.size(), &found) == ERANGE)
        buffer.resize(buffer.size() * 2);
    if (!found) return std::nullopt;
    return account{.name = entry.pw_name, .uid = entry.pw_uid, .gid = entry.pw_gid, .groups = {}};
}

std::optional<account> by_name(const std::string& name) {
    return look_up([&](auto... arguments) { return ::getpwnam_r(name.c_str(), arguments...); });
}

std::optional<account> by_id(uid_t uid) {
    return look_up([&](auto... arguments) { return ::getpwuid_r(uid, arguments...); });
}

// Looked up here and not in the child: after fork(), a program with threads may only call what is safe in a signal.
std::vector<gid_t> groups_of(const account& user) {
    int count = 16;
    std::vector<gid_t> groups(static_cast<std::size_t>(count));
    while (::getgrouplist(user.name.c_str(), user.gid, groups.data(), &count) == -1) {
        groups.resize(std::max(static_cast<std::size_t>(count), groups.size() * 2));
        count = static_cast<int>(groups.size());
    }
    groups.resize(static_cast<std::size_t>(count));
    return groups;
}

std::vector<gid_t> own_groups() {
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
    const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
    groups.resize(static_cast<std::size_t>(std::max(count, 0)));
    return groups;
}

bool may_pass(const account& user, const struct stat& directory) {
    if (directory.st_uid == user.uid) return directory.st_mode & S_IXUSR;
    const auto& groups = user.groups;
    const bool member = directory.st_gid == user.gid ||
                        std::find(groups.begin(), groups.end(), directory.st_gid) != groups.end();
    return directory.st_mode & (member ? S_IXGRP : S_IXOTH);
}

} // namespace

std::string account::name_of(uid_t uid) {
    const auto found = by_id(uid);
    return found ? found->name : "#" + std::to_string(uid);
}

bool account::can_reach(const std::filesystem::path& path) const {
    for (auto at = path;; at = at.parent_path()) {
        struct stat found {};
        if (::stat(at.c_str(), &found) == 0 && S_ISDIR(found.st_mode) && !may_pass(*this, found))
            return false;
        if (at == at.parent_path()) return true;
    }
}

void account::take(const std::filesystem::path& path, mode_t mode) const {
    if (::chmod(path.c_str(), mode) != 0 || (differs && ::chown(path.c_str(), uid, gid) != 0))
        fail_with_errno("giving '" + path.string() + "' to the user '" + name + "' failed");
}

void account::take(int descriptor, mode_t mode) const {
    if (::fchmod(descriptor, mode) != 0 || (differs && ::fchown(descriptor, uid, gid) != 0))
        fail_with_errno("giving a file to the user '" + name + "' failed");
}

account choose_account(const std::string& run_as) {
    const auto own = ::geteuid();
    if (own != 0)
        return {.name = account::name_of(own), .uid = own, .gid = ::getegid(), .groups = own_groups()};
    auto user = by_name(run_as);
    if (!user) user = by_name("nobody");
    if (!user)
        fail(errc::unavailable,
             "PostgreSQL refuses to run as root, and there is neither a user '" + run_as +
                 "' nor 'nobody': name an unprivileged user in embedded_server_options::run_as");
    if (user->uid == 0)
        fail(errc::invalid_argument,
             "embedded_server_options::run_as is '" + run_as +
                 "', which is root: PostgreSQL refuses to run as root, name an unprivileged user");
    user->groups = groups_of(*user);
    user->differs = true;
    return *user;
}

void fail(errc code, const std::string& message) {
    throw error(code, "embedded_server", message);
}

void fail_with_errno(const std::string& what) {
    fail(errc::unavailable, what + ": " + std::error_code(errno, std::system_category()).message());
}

} // namespace pgstate::embedded
