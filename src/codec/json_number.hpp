#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace pgstate::codec {

/// Appends a finite double so that it reads back as the same double, also after jsonb has rewritten it: jsonb keeps
/// "1.0" but turns "1e0" into the integer "1". -0.0, which jsonb does not have, becomes 0.0.
void append_double(std::string& out, double value);

/// The double that a JSON number stands for: one whose shortest or exact decimal form is that number. Nothing when a
/// double would change it.
std::optional<double> read_double(std::string_view literal);

} // namespace pgstate::codec
