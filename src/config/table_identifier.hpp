#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace pgstate::settings {

/// PostgreSQL's limit on an identifier, in bytes; the server silently cuts a longer one.
inline constexpr std::size_t max_identifier_bytes = 63;

/// `name` in double quotes, quotes inside doubled: safe in SQL whatever it holds.
std::string quote_identifier(std::string_view name);

/// The table's name, parsed and valid: each part is UTF-8 of 1 to 63 bytes.
struct table_identifier {
    std::string schema; ///< empty: found through the search_path
    std::string name;

    /// For SQL: `"schema"."name"`, or `"name"` without a schema.
    std::string quoted() const;

    /// The name of one of the table's indexes, not quoted: `idx_<table>_<suffix>`, as the Go SDK names them. Where that
    /// is longer than 63 bytes the table's part is cut and a hash of the whole is inserted, so that names stay distinct.
    /// \pre suffix is ASCII and at most 32 characters
    std::string index_name(std::string_view suffix) const;

    /// The name of something else that belongs to the table, not quoted: `<table>_<suffix>`, cut as index_name.
    /// \pre as of index_name
    std::string related_name(std::string_view suffix) const;

    /// The same for SQL, with the table's schema.
    std::string quoted_related(std::string_view suffix) const;

    /// `index_name(suffix)` quoted, without a schema, as CREATE INDEX wants it.
    std::string quoted_index(std::string_view suffix) const;

    friend bool operator==(const table_identifier&, const table_identifier&) = default;
};

/// Reads `config.table_name`: `name` or `schema.name`, each part as it stands or in double quotes.
/// \throws error invalid_argument - says what is wrong and how to write the name
table_identifier parse_table_name(std::string_view text);

} // namespace pgstate::settings
