#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/export.hpp"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace pgstate::detail {

/// What the document of a row says of the row's own columns, as `export` writes it; times that are not there, or null, are
/// nothing.
struct row_members {
    std::string agent_id;
    std::string session_id;
    std::optional<timestamp> created_at{};
    std::optional<timestamp> updated_at{};
    std::optional<timestamp> expires_at{};
};

/// What a load would make of a document that also has the row's `expires_at`, as the program pgstate shows it. Nothing is
/// built of it, so that a large one takes no memory but its own.
class PGSTATE_API document_check {
public:
    explicit document_check(std::string_view json);

    bool is_json = true;
    std::size_t read = 0; ///< bytes up to where it ended or went wrong
    std::string refusal;  ///< why it cannot be loaded, quoting nothing of it; empty: it can, or is no JSON
    row_members row;
};

} // namespace pgstate::detail
