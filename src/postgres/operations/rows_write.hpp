#ifndef PGSTATE_POSTGRES_OPERATIONS_ROWS_WRITE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_ROWS_WRITE_HPP

#include "postgres/operations/written_row.hpp"
#include "sql/message_rows.hpp"
#include "sql/prepared.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace pgstate::postgres {

/// The column of such a statement's answer behind those of every write.
namespace rows_row {
inline constexpr int epoch = written_row::expires_at + 1;
} // namespace rows_row

/// What an operation puts into sql::message_rows.
struct row_input {
    std::int64_t ttl = 0;                  ///< 0: the expiry stays
    std::int64_t created_ttl = 0;          ///< of a state that is created; 0: never
    std::optional<std::int64_t> version{}; ///< that must be there; nothing: any
    std::int64_t known = 0;                ///< messages that must be there
    wire::uuid epoch{};                    ///< that must be there; zeros: any
    std::string_view document{};           ///< without the history
    std::vector<std::string_view> messages{};
};

/// A write of histories in rows.
class rows_write : public writing_type {
public:
    using statement_text = sql::message_rows::text (*)(const sql::message_rows&);

    /// \param finds  it finds rows by key, which an INSERT does by itself
    /// \param lock   runs before it; null for none
    rows_write(sql::target_table& table, std::string_view purpose, bool finds, statement_text text,
               statement_text lock = nullptr);

private:
    struct forms {
        std::string_view columns{};
        sql::lookup statements{};
    };

    virtual row_input input_of(const batch::operation& what) const = 0;
    batch::command build_without_name(const batch::operation_list& operations) const final;

    bool finds_;
    forms write_;
    std::optional<forms> lock_;
};

} // namespace pgstate::postgres

#endif
