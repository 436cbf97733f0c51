#include "sql/prepared.hpp"

#include <cstdint>
#include <cstdio>
#include <utility>

namespace pgstate::sql {

std::string statement_name(std::string_view purpose, std::string_view sql) {
    std::uint64_t hash = 14695981039346656037ULL; // FNV-1a
    for (const char c : sql)
        hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(hash));
    return std::string("pgstate_").append(purpose).append("_").append(digits);
}

wire::statement prepared(std::string_view purpose, std::string sql, types parameters) {
    auto name = statement_name(purpose, sql);
    return {std::move(name), std::move(sql), std::move(parameters), {}};
}

wire::statement planned_anew(std::string sql, types parameters) {
    return {{}, std::move(sql), std::move(parameters), {}};
}

by_size prepared_by_size(std::string_view purpose, const std::string& text, const types& parameters) {
    return {prepared(purpose, text, parameters),
            prepared(std::string(purpose).append("_large"), text, parameters)};
}

lookup make_lookup(std::string_view purpose, const std::string& one, const types& parameters_of_one,
                   const std::string& many, const types& parameters_of_many) {
    return {prepared_by_size(purpose, one, parameters_of_one),
            {planned_anew(many, parameters_of_many),
             prepared(std::string(purpose).append("_many"), many, parameters_of_many)}};
}

} // namespace pgstate::sql
