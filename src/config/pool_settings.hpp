#pragma once

#include "config/connection_string.hpp"
#include "pgstate/config.hpp"

namespace pgstate::settings {

/// Sets the member of `pool` that `setting` names. Looks at its syntax only; ranges are checked when all are known.
/// \throws error invalid_argument - an unknown name or a value that cannot be read
void apply(const pool_setting& setting, pool_config& pool);

} // namespace pgstate::settings
