#pragma once

#include "checks.hpp"
#include <pgstate/config.hpp>
#include <pgstate/operations.hpp>

#include <optional>
#include <vector>

namespace pqxx {
class connection;
}

namespace pgstate::cli {

/// Reads everything but the round trip, its version and the pool's size. Blocks. Needs no rights but to connect; what it
/// may not read is left at its default.
facts read_facts(pqxx::connection& connection, const config& settings);

/// The keys behind `after` (nothing: the first) of states that have not expired, in the order of the keys; none at the
/// end. No more than a few megabytes of states. Blocks.
std::vector<state_key> keys_behind(pqxx::connection& connection, const config& settings,
                                   const std::optional<state_key>& after);

/// Advances the version's sequence to the newest version, if it is behind; writers wait meanwhile. Blocks.
/// \throws error  what the server refuses
void advance_versions(pqxx::connection& connection, const config& settings);

/// Deletes the messages in rows that neither a state nor a checkpoint has, some histories in each transaction. Blocks.
/// \pre  the role sees all rows
/// \throws error  what the server refuses
void delete_orphans(pqxx::connection& connection, const config& settings);

} // namespace pgstate::cli
