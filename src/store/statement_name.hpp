#ifndef PGSTATE_STORE_STATEMENT_NAME_HPP
#define PGSTATE_STORE_STATEMENT_NAME_HPP

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace pgstate::store {

/// FNV-1a: the name must follow from the text alone, so that every process means the same by it behind a pooler.
inline std::string statement_name(std::string_view purpose, std::string_view sql) {
    std::uint64_t hash = 14695981039346656037ULL;
    for (const char c : sql)
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    return std::string("pgstate_").append(purpose).append("_").append(digits);
}

} // namespace pgstate::store

#endif
