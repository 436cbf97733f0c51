// Gives libFuzzer the one target that it is linked with.

#include "fuzz/fuzz.hpp"

#include <cstddef>
#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto target = pgstate_fuzz::target::all().at(0);
    target.run({reinterpret_cast<const char*>(data), size});
    return 0;
}
