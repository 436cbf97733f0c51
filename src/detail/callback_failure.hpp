#pragma once

#include "pgstate/error.hpp"

#include <exception>
#include <string_view>

namespace pgstate::detail {

/// The failure of an operation whose user's function threw the exception being handled: a pgstate::error as it is, anything
/// else as callback_failed, with the exception as its cause.
/// \pre called from a catch block
inline error callback_failure(std::string_view operation) {
    try {
        throw;
    } catch (const error& failure) {
        return failure;
    } catch (...) {
        error failure(errc::callback_failed, operation, to_error(std::current_exception()).what());
        return failure.with_cause(std::current_exception());
    }
}

} // namespace pgstate::detail
