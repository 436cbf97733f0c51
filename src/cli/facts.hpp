#pragma once

#include "checks.hpp"
#include <pgstate/config.hpp>

namespace pqxx {
class connection;
}

namespace pgstate::cli {

/// Reads everything but the round trip, its version and the pool's size. Blocks. Needs no rights but to connect; what it
/// may not read is left at its default.
facts read_facts(pqxx::connection& connection, const config& settings);

/// Advances the version's sequence to the newest version, if it is behind; writers wait meanwhile. Blocks.
/// \throws error  what the server refuses
void advance_versions(pqxx::connection& connection, const config& settings);

} // namespace pgstate::cli
