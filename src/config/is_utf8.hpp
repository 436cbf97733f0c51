#ifndef PGSTATE_CONFIG_IS_UTF8_HPP
#define PGSTATE_CONFIG_IS_UTF8_HPP

#include <boost/locale/utf.hpp>

#include <memory>
#include <string_view>

namespace pgstate::settings {

inline bool is_utf8(std::string_view text) {
    const char* end = std::to_address(text.end());
    for (const char* at = text.data(); at != end;) {
        const auto code_point = boost::locale::utf::utf_traits<char>::decode(at, end);
        if (code_point == boost::locale::utf::illegal || code_point == boost::locale::utf::incomplete)
            return false;
    }
    return true;
}

} // namespace pgstate::settings

#endif
