#ifndef PGSTATE_POSTGRES_OPERATIONS_SAVE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_SAVE_HPP

#include "pgstate/detail/encoded_state.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/prepared.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace pgstate::postgres {

class save_operation final : public caller_operation<saved> {
public:
    /// \param ttl  0: never expires
    save_operation(const batch::operation_type& as, detail::encoded_state state, bool if_unchanged,
                   std::chrono::milliseconds ttl, handler_type handler,
                   const boost::asio::any_completion_executor& io);

    const detail::encoded_state& state() const noexcept { return state_; }
    std::chrono::milliseconds ttl() const noexcept { return ttl_; }

    std::optional<std::int64_t> if_version() const noexcept override;
    bool conditional() const noexcept override { return if_unchanged_; }
    bool wants_retry(const wire::rows& rows, int row) override;

private:
    result<saved> decode() override;

    detail::encoded_state state_;
    bool if_unchanged_;
    std::chrono::milliseconds ttl_;
    contradictions contradicted_;
};

/// Saves that insert the row: those that may replace an existing one, and those that must not.
class insert_type final : public writing_type {
public:
    insert_type(sql::target_table& table, sql::table_sql::existing what);

private:
    struct forms {
        wire::statement one;
        wire::statement many;
    };
    batch::command build_without_name(const batch::operation_list& operations) const override;

    forms without_expiry_;
    forms with_expiry_;
};

/// Saves over a certain version.
class replace_type final : public writing_type {
public:
    explicit replace_type(sql::target_table& table);

private:
    batch::command build_without_name(const batch::operation_list& operations) const override;

    sql::lookup without_expiry_;
    sql::lookup with_expiry_;
};

/// The types that a save can have.
struct save_types {
    explicit save_types(sql::target_table& table);

    /// \param if_unchanged, version  save_options::if_unchanged and agent_state::version
    const batch::operation_type& of(bool if_unchanged, std::int64_t version) const noexcept;

    insert_type save;
    insert_type create;
    replace_type replace;
};

} // namespace pgstate::postgres

#endif
