#ifndef PGSTATE_STORE_STATEMENTS_HPP
#define PGSTATE_STORE_STATEMENTS_HPP

#include "batch/dialect.hpp"
#include "config/table_identifier.hpp"
#include "wire/statement.hpp"

#include <vector>

namespace pgstate::store {

/// The columns of each answer, the same for the single-row and the batched form of a statement.
namespace saved_row {
enum : int { agent_id, session_id, version, created_at, updated_at };
}
namespace loaded_row {
enum : int { ordinal, state, version, created_at, updated_at };
}
namespace probed_row {
enum : int { ordinal, version };
}
namespace listed_row {
enum : int { session_id, version, created_at, updated_at };
}
namespace health_row {
enum : int { server_version, read_only };
}

/// The statements on one table, and which row of an answer is whose.
class table_statements final : public batch::dialect {
public:
    explicit table_statements(const settings::table_identifier& table);

    batch::command build(const std::vector<batch::operation_ptr>& operations) const override;
    std::vector<int> pair(const std::vector<batch::operation_ptr>& operations,
                          const wire::rows& rows) const override;

private:
    /// One operation's form, prepared, and the form for many, planned each time: a plan kept from when the table was
    /// small would go on scanning it.
    struct forms {
        wire::statement one;
        wire::statement many;
    };
    const forms& forms_of(batch::kind what) const;

    forms save_;
    forms create_;
    forms replace_;
    forms probe_;
    forms load_;
    forms erase_;
    wire::statement list_first_;
    wire::statement list_next_;
    wire::statement count_agent_;
    wire::statement count_all_;
    wire::statement health_;
};

} // namespace pgstate::store

#endif
