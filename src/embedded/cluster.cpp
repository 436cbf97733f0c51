#include "embedded/cluster.hpp"

#include <fcntl.h>
#include <locale.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

namespace pgstate::embedded {
namespace {

namespace fs = std::filesystem;

fs::path temporary_root(const account& user) {
    std::error_code ignored;
    auto root = fs::temp_directory_path(ignored);
    return !root.empty() && user.can_reach(root) ? fs::absolute(root) : fs::path("/tmp");
}

std::string random_password() {
    std::random_device random;
    constexpr std::string_view digits = "0123456789abcdef";
    std::string password;
    for (int i = 0; i < 40; ++i)
        password += digits[random() % digits.size()];
    return password;
}

// Writes what only `user` may read into a file that was just made, and on the disk.
void write_private(int descriptor, const std::string& path, const std::string& text, const account& user) {
    const file_ptr file(descriptor < 0 ? nullptr : ::fdopen(descriptor, "w"));
    if (!file) fail_with_errno("'" + path + "' cannot be made");
    user.take(descriptor, S_IRUSR | S_IWUSR);
    if (std::fputs(text.c_str(), file.get()) < 0 || std::fflush(file.get()) != 0 || ::fsync(descriptor) != 0)
        fail_with_errno("'" + path + "' cannot be written");
}

// The password's file while initdb reads it, which wants an empty directory and so cannot have it there.
class password_file {
public:
    password_file(const std::string& password, const account& user)
        : path_((temporary_root(user) / "pgstate-XXXXXX").string()) {
        const int descriptor = ::mkstemp(path_.data());
        try {
            write_private(descriptor, path_, password, user);
        } catch (...) {
            ::unlink(path_.c_str());
            throw;
        }
    }
    password_file(const password_file&) = delete;
    password_file& operator=(const password_file&) = delete;
    ~password_file() { ::unlink(path_.c_str()); }

    const std::string& path() const { return path_; }

private:
    std::string path_;
};

// Written last and in one step: a cluster without it was not finished.
void write_password(const fs::path& directory, const std::string& password, const account& user) {
    const auto partial = directory / "password.new";
    const int descriptor =
        ::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, S_IRUSR | S_IWUSR);
    write_private(descriptor, partial.string(), password, user);
    fs::rename(partial, directory / "password");
}

// C.UTF-8 sorts as C does, and knows letters beyond ASCII; not every system has it.
std::string best_locale() {
    const locale_t found = ::newlocale(LC_ALL_MASK, "C.UTF-8", nullptr);
    if (!found) return "C";
    ::freelocale(found);
    return "C.UTF-8";
}

fs::path make_directory_under(const fs::path& root, const account& user) {
    auto name = (root / "pgstate-XXXXXX").string();
    if (!::mkdtemp(name.data())) fail_with_errno("no directory can be made under '" + name + "'");
    user.take(fs::path(name), S_IRWXU);
    return name;
}

} // namespace

fs::path make_temporary_directory(const account& user) {
    return make_directory_under(temporary_root(user), user);
}

void make_cluster(const fs::path& directory, const fs::path& bin_directory, const account& user,
                  durability wanted, deadline until) {
    const auto named = "the data directory '" + directory.string() + "' ";
    std::error_code failed;
    fs::create_directories(directory, failed);
    if (failed || !fs::is_directory(directory))
        fail(errc::unavailable, named + "cannot be made: " + failed.message());
    const bool empty = fs::is_empty(directory, failed);
    if (failed) fail(errc::unavailable, named + "cannot be read: " + failed.message());
    if (!empty)
        fail(errc::invalid_argument, named + "is not empty and holds no database cluster: name another");
    if (!user.can_reach(directory.parent_path()))
        fail(errc::unavailable, "the user '" + user.name + "', who is to run PostgreSQL, cannot reach '" +
                                    directory.string() +
                                    "': name a directory whose parents all users may pass (chmod o+x)");
    user.take(directory, S_IRWXU);

    const auto password = random_password();
    const password_file file(password, user);
    std::vector<std::string> arguments{
        "--pgdata=" + directory.string(), "--username=postgres", "--encoding=UTF8",
        "--locale=" + best_locale(),      "--auth-local=trust",  "--auth-host=scram-sha-256",
        "--pwfile=" + file.path(),        "--no-instructions"};
    if (wanted == durability::none) arguments.emplace_back("--no-sync");
    const auto result = run(bin_directory / "initdb", arguments, user, until);
    if (result.exit_code != 0)
        fail(errc::unavailable,
             "initdb failed for '" + directory.string() + "'; its output:\n" + result.output);

    const auto own = directory / own_directory;
    fs::create_directory(own);
    user.take(own, S_IRWXU);
    write_password(own, password, user);
}

std::string open_cluster(const fs::path& directory, const account& user) {
    struct stat found {};
    if (::stat(directory.c_str(), &found) != 0)
        fail_with_errno("'" + directory.string() + "' cannot be opened");
    if (found.st_uid != user.uid)
        fail(errc::invalid_argument, "the data directory '" + directory.string() + "' belongs to the user '" +
                                         account::name_of(found.st_uid) + "', and PostgreSQL would run as '" +
                                         user.name + "': " +
                                         (user.differs ? "name its owner in embedded_server_options::run_as"
                                                       : "run this program as its owner, or as root"));
    std::ifstream file(directory / own_directory / "password");
    std::string password{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (password.empty())
        fail(errc::invalid_argument,
             "the data directory '" + directory.string() +
                 "' holds a database cluster that no embedded_server made, or did not finish "
                 "making: name another, or remove it if it is of no use");
    return password;
}

fs::path make_socket_directory(const fs::path& directory, const account& user) {
    const auto own = directory / own_directory;
    constexpr std::string_view longest_name = "/.s.PGSQL.65535";
    const bool too_long = own.string().size() + longest_name.size() >= sizeof(sockaddr_un::sun_path);
    if (too_long || own.string().find(',') != std::string::npos) // libpq splits a list of hosts at commas
        return make_directory_under("/tmp", user);

    // What a killed server left: nothing else would ever remove it, as the next server has another port.
    for (const auto& entry : fs::directory_iterator(own))
        if (entry.path().filename().string().starts_with(".s.PGSQL.")) fs::remove(entry.path());
    return own;
}

} // namespace pgstate::embedded
