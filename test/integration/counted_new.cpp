#include "integration/counted_new.hpp"

#include <cstdlib>
#include <limits>
#include <new>

namespace {

thread_local std::size_t count = 0;
thread_local std::size_t last_allowed = std::numeric_limits<std::size_t>::max();

} // namespace

std::size_t pgstate_test::allocations() noexcept {
    return count;
}

pgstate_test::failing_allocations::failing_allocations(std::size_t allowed) noexcept {
    last_allowed = count + allowed;
}

pgstate_test::failing_allocations::~failing_allocations() {
    last_allowed = std::numeric_limits<std::size_t>::max();
}

std::size_t pgstate_test::failing_allocations::failed() const noexcept {
    return count > last_allowed ? count - last_allowed : 0;
}

namespace {

void* counted(std::size_t size) noexcept {
    if (++count > last_allowed) return nullptr;
    return std::malloc(size == 0 ? 1 : size);
}

} // namespace

// Every form but those with an alignment: what a sanitizer has in their place does not call these.
void* operator new(std::size_t size) {
    if (void* const memory = counted(size)) return memory;
    throw std::bad_alloc();
}
void* operator new[](std::size_t size) {
    if (void* const memory = counted(size)) return memory;
    throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    return counted(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
    return counted(size);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete[](void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
    std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
    std::free(memory);
}
