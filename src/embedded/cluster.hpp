#pragma once

#include "embedded/account.hpp"
#include "embedded/child_process.hpp"

#include <filesystem>
#include <string>
#include <string_view>

namespace pgstate::embedded {

/// Only in a cluster that an embedded_server made to its end: the superuser's password for TCP, the server's
/// log and, where its name is short enough, the Unix socket.
constexpr std::string_view own_directory = "pgstate";

/// Whether a new cluster is on disk before it is used.
enum class durability { synced, none };

/// A new directory that only `user` can enter, under the system's temporary one (/tmp where `user` cannot reach that).
std::filesystem::path make_temporary_directory(const account& user);

/// Makes a database cluster in `directory`, which is empty or absent, with the superuser "postgres".
/// \throws error invalid_argument - something else is in `directory`; unavailable - it cannot be made, or
///         initdb failed
void make_cluster(const std::filesystem::path& directory, const std::filesystem::path& bin_directory,
                  const account& user, durability wanted, deadline until);

/// The superuser's password in a cluster that is there already.
/// \throws error invalid_argument - the cluster is not one that make_cluster finished, or belongs to another
///         user
std::string open_cluster(const std::filesystem::path& directory, const account& user);

/// Where the cluster's Unix socket goes: into the cluster, or a new directory in /tmp if that name cannot be
/// a socket's. Removes the sockets that killed servers left there.
std::filesystem::path make_socket_directory(const std::filesystem::path& directory, const account& user);

} // namespace pgstate::embedded
