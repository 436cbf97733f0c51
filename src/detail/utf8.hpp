#pragma once

#include <string_view>

namespace pgstate::detail {

/// What PostgreSQL's jsonb and text refuse in a string.
enum class text_fault { none, nul, not_utf8 };

/// The first fault of `text`.
text_fault check_text(std::string_view text) noexcept;

} // namespace pgstate::detail
