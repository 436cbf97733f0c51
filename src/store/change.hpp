#ifndef PGSTATE_STORE_CHANGE_HPP
#define PGSTATE_STORE_CHANGE_HPP

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/state_change.hpp"
#include "pgstate/error.hpp"
#include "pgstate/operations.hpp"
#include "telemetry/names.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::store {

/// The statements that change a part of a row, each once for rows that must be there and once for those that may be
/// made. An integer and a double are added by different arithmetic.
enum class change_form : std::uint8_t {
    append,
    merge,
    add_integer,
    add_double,
    append_or_create,
    merge_or_create,
    add_integer_or_create,
    add_double_or_create,
    touch,
};
inline constexpr std::size_t change_forms = 9;

/// A change as its statement takes it.
struct encoded_change {
    change_form form = change_form::touch;
    std::string first;  ///< append: the messages; merge: members of `data`; increment: the number as text
    std::string second; ///< merge: members of `context`
    /// merge: the names to remove from `data`; increment: the way to the number
    std::vector<std::string> first_path;
    /// merge: the names to remove from `context`; increment: the way to the object around the number
    std::vector<std::string> second_path;
    std::string document; ///< of the state that is made where there is none
};

telemetry::operation_id operation_of(const detail::state_change& change) noexcept;

/// \param create  make the state where there is none
/// \throws error invalid_argument - what jsonb cannot hold, more than max_change_bytes, a name both set and removed, no
///         JSON pointer into `data` or `context`
encoded_change encode_change(const detail::state_change& change, std::string_view agent_id,
                             std::string_view session_id, bool create);

/// The same on a state in memory. \pre encode_change() has accepted the change
/// \throws error invalid_argument - there is no number to add to, or the sum does not fit
void apply(const detail::state_change& change, agent_state& state);

/// The conflict of a conditional write. \param current  the version there is, 0 for none
error conflict(std::string_view operation, std::int64_t wanted, std::int64_t current);

/// What a change needs is not there.
error not_found(std::string_view operation);

/// What the server's refusals of an increment mean.
error not_incremented(std::string_view reason);

} // namespace pgstate::store

#endif
