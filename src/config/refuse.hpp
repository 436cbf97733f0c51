#pragma once

#include "pgstate/error.hpp"

#include <string_view>

namespace pgstate::settings {

/// Throws the error of a setting that cannot be used. `message` begins with the setting's name.
[[noreturn]] inline void refuse(std::string_view message) {
    throw error(errc::invalid_argument, "config", message);
}

} // namespace pgstate::settings
