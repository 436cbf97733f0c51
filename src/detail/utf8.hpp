#ifndef PGSTATE_SRC_DETAIL_UTF8_HPP
#define PGSTATE_SRC_DETAIL_UTF8_HPP

#include <string_view>

namespace pgstate::detail {

/// What PostgreSQL's jsonb and text refuse in a string.
enum class text_fault { none, nul, not_utf8 };

/// The first fault of `text`.
text_fault check_text(std::string_view text) noexcept;

} // namespace pgstate::detail

#endif
