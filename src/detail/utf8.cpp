#include "detail/utf8.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace pgstate::detail {
namespace {

/// The length of the well-formed sequence at `p` (Unicode, table 3-7), 0 if there is none.
std::size_t sequence_length(const unsigned char* p, std::size_t left) noexcept {
    const auto continues = [&](std::size_t i, unsigned char low = 0x80, unsigned char high = 0xBF) {
        return i < left && p[i] >= low && p[i] <= high;
    };
    const unsigned char lead = p[0];
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return continues(1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const unsigned char low = lead == 0xE0 ? 0xA0 : 0x80;  // no overlong form
        const unsigned char high = lead == 0xED ? 0x9F : 0xBF; // no surrogate
        return continues(1, low, high) && continues(2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const unsigned char low = lead == 0xF0 ? 0x90 : 0x80;  // no overlong form
        const unsigned char high = lead == 0xF4 ? 0x8F : 0xBF; // nothing above U+10FFFF
        return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
    }
    return 0;
}

/// Whether eight bytes are all 0x01 to 0x7F.
bool plain_ascii(const unsigned char* p) noexcept {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    constexpr std::uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    // A byte of 0 borrows into its highest bit; without high bits in `word` nothing else sets one first.
    return ((word | (word - ones)) & highs) == 0;
}

} // namespace

text_fault check_text(std::string_view text) noexcept {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    std::size_t left = text.size();
    while (left != 0) {
        if (left >= 8 && plain_ascii(p)) {
            p += 8;
            left -= 8;
            continue;
        }
        if (*p == 0) return text_fault::nul;
        const std::size_t length = sequence_length(p, left);
        if (length == 0) return text_fault::not_utf8;
        p += length;
        left -= length;
    }
    return text_fault::none;
}

} // namespace pgstate::detail
