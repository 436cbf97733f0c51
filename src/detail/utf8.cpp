#include "detail/utf8.hpp"

#include <boost/locale/utf.hpp>

#include <cstdint>
#include <cstring>

namespace pgstate::detail {
namespace {

namespace utf = boost::locale::utf;

/// Whether eight bytes are all 0x01 to 0x7F.
bool plain_ascii(const char* p) noexcept {
    std::uint64_t word;
    std::memcpy(&word, p, sizeof word);
    constexpr std::uint64_t ones = 0x0101010101010101, highs = 0x8080808080808080;
    // A byte of 0 borrows into its highest bit; without high bits in `word` nothing else sets one first.
    return ((word | (word - ones)) & highs) == 0;
}

} // namespace

text_fault check_text(std::string_view text) noexcept {
    const char* p = text.data();
    const char* const end = p + text.size();
    while (p != end) {
        if (end - p >= 8 && plain_ascii(p)) {
            p += 8;
            continue;
        }
        if (*p == 0) return text_fault::nul;
        const auto code_point = utf::utf_traits<char>::decode(p, end);
        if (code_point == utf::illegal || code_point == utf::incomplete) return text_fault::not_utf8;
    }
    return text_fault::none;
}

} // namespace pgstate::detail
