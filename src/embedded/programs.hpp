#pragma once

#include "embedded/account.hpp"

#include <filesystem>

namespace pgstate::embedded {

/// The directory of initdb and postgres: `wanted` if it is not empty, else `PGSTATE_PG_BINDIR`, what
/// `pg_config --bindir` says, the newest of the places where distributions install them, then PATH.
/// \throws error unavailable - they are not there; names what to install
std::filesystem::path find_programs(const std::filesystem::path& wanted, const account& user);

} // namespace pgstate::embedded
