#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/detail/state_change.hpp"
#include "pgstate/error.hpp"
#include "pgstate/operations.hpp"
#include "telemetry/names.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace pgstate::codec {

/// How a part of a state is changed.
enum class change_form : std::uint8_t {
    append,
    append_once, ///< messages of which some have an id: those that are in the history already stay out
    merge,
    increment,
};
inline constexpr std::size_t change_forms = 4;

struct json_text {
    std::string text;
};
using change_parameter = std::variant<json_text, std::string, std::vector<std::string>>;

/// A change as its statement takes it.
struct encoded_change {
    change_form form = change_form::append;
    bool create = false; ///< it creates a missing state
    /// Of the form, in the order of its statement; last, where it creates a state, that state's document.
    std::vector<change_parameter> parameters;
    std::optional<detail::increment> increment{}; ///< of that form: to say why the server could not
    /// Of append_once, where every message has an id: the ids. Such a change may find nothing to do, and may be repeated.
    std::vector<std::string> ids{};
    detail::history_place messages{};        ///< of an append: in its first parameter
    detail::history_place created_history{}; ///< in the document of the state that it creates
};

telemetry::operation_id operation_of(const detail::state_change& change) noexcept;

/// \param create  a missing state is created
/// \throws error invalid_argument - what jsonb cannot hold, more than max_change_bytes, a name both set and removed, no
///         JSON pointer into `data` or `context`
encoded_change encode_change(const detail::state_change& change, std::string_view agent_id,
                             std::string_view session_id, bool create);

/// The state that a change makes where there is none. \pre encode_change() has accepted the change
agent_state made_by(const detail::state_change& change, std::string_view agent_id,
                    std::string_view session_id);

/// The change of a state in memory. False: its messages are all there already, by their ids, and nothing is changed.
/// \pre encode_change() has accepted the change
/// \throws error invalid_argument - there is no number to add to, or the sum does not fit
bool apply(const detail::state_change& change, agent_state& state);

/// The conflict of a conditional write. \param current  the version there is, 0 for none
error conflict(std::string_view operation, std::int64_t wanted, std::int64_t current);

/// The state has no checkpoint of the version.
error no_checkpoint(std::string_view operation, std::int64_t version);

/// What a change needs is not there.
error not_found(std::string_view operation);

} // namespace pgstate::codec
