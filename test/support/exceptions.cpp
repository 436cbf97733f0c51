#include "support/exceptions.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>

namespace {

std::atomic<std::size_t> made{0};

} // namespace

std::size_t pgstate_test::exceptions_made() noexcept {
    return made.load();
}

// The C++ runtime's own (Itanium C++ ABI, "Exception Handling", 2.4.2): each throw and each make_exception_ptr asks it for the
// memory. This one counts and passes on.
extern "C" void* __cxa_allocate_exception(std::size_t size) noexcept { // NOLINT(bugprone-reserved-identifier)
    using function = void* (*)(std::size_t);
    static const auto next = reinterpret_cast<function>(dlsym(RTLD_NEXT, "__cxa_allocate_exception"));
    if (!next) std::abort();
    made.fetch_add(1);
    return next(size);
}
