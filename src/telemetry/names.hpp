#pragma once

#include "pgstate/error.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgstate::telemetry {

/// What a program can ask of a store or a pool.
enum class operation_id : std::uint8_t {
    save,
    load,
    erase,
    touch,
    append,
    merge,
    increment,
    list,
    list_agents,
    find,
    count,
    health_check,
    checkpoint,
    checkpoints,
    restore,
    fork,
    prune,
    transaction,
    with_connection,
    open,
    sweep, ///< asked by the store itself
};
inline constexpr std::size_t operation_ids = 21;

/// "save": as errors, metrics and log records name it.
std::string_view name_of(operation_id what) noexcept;
/// "pgstate.save"
std::string_view span_name_of(operation_id what) noexcept;

/// The value of the attribute error.type: an errc's name, a SQLSTATE, "cancelled", or "_OTHER".
std::string error_type(const error& failure);

/// A hash of an agent's or a session's id, the same in every process: 16 hexadecimal digits of 64-bit FNV-1a.
std::string hash_of(std::string_view id);

} // namespace pgstate::telemetry
