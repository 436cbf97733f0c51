#ifndef PGSTATE_CONFIG_UTF8_HPP
#define PGSTATE_CONFIG_UTF8_HPP

#include <string_view>

namespace pgstate::settings {

/// What PostgreSQL's jsonb and text refuse in a string.
enum class text_fault { none, nul, not_utf8 };

/// The first fault of `text`.
text_fault check_text(std::string_view text) noexcept;

} // namespace pgstate::settings

#endif
