#ifndef PGSTATE_POSTGRES_OPERATIONS_SAVE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_SAVE_HPP

#include "pgstate/detail/encoded_state.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/probe.hpp"
#include "postgres/operations/rows_write.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/prepared.hpp"

#include <chrono>
#include <cstdint>
#include <optional>

namespace pgstate::postgres {

struct save_types;

class save_operation final : public caller_operation<saved> {
public:
    /// \param options      valid
    /// \param default_ttl  of a state that is made, if `options` have none; 0: it never expires
    save_operation(const save_types& types, detail::encoded_state state, const save_options& options,
                   std::chrono::milliseconds default_ttl, handler_type handler,
                   const boost::asio::any_completion_executor& io);

    const detail::encoded_state& state() const noexcept { return state_; }
    /// Its document without the history, where histories may be in rows.
    const std::string& rows_document() const noexcept { return rows_document_; }
    /// What it puts into a statement on histories in rows: all of the state, or what is to be added to what is stored.
    row_input whole() const;
    row_input added() const;

    /// From now; 0: of a state that is made: it never expires, of one that is replaced: it keeps its expiry.
    std::chrono::milliseconds ttl() const noexcept { return ttl_; }

    std::optional<std::int64_t> if_version() const noexcept override;
    /// What was loaded in part is saved only over the history that it is a part of.
    /// All of the state may have to be sent after all.
    std::size_t held_bytes() const noexcept override { return whole_bytes() + rows_document_.size(); }
    bool conditional() const noexcept override { return options_.if_unchanged || partial(); }
    bool probes() const noexcept override { return conditional() || extends(); }
    bool wants_retry(const wire::rows& rows, int row) override;

private:
    result<saved> decode() override;
    bool partial() const noexcept { return state_.stored_messages != 0; }
    bool extends() const noexcept;
    std::size_t whole_bytes() const noexcept {
        return agent_id.size() + session_id.size() + state_.document.size();
    }
    std::optional<error> conflict(const wire::rows& rows, int row) const;

    const save_types& types_;
    detail::encoded_state state_;
    std::string rows_document_;
    save_options options_;
    bool keeps_expiry_; ///< of the row that is there
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

    sql::lookup statements_;
};

/// Saves of states that were loaded in part.
class extend_type final : public writing_type {
public:
    explicit extend_type(sql::target_table& table);

private:
    batch::command build_without_name(const batch::operation_list& operations) const override;

    sql::by_size statement_;
};

/// Of histories in rows: saves of whole states.
class save_rows_type final : public rows_write {
public:
    save_rows_type(sql::target_table& table, std::string_view purpose, statement_text text, bool finds)
        : rows_write(table, purpose, finds, text) {}

private:
    row_input input_of(const batch::operation& what) const override {
        return static_cast<const save_operation&>(what).whole();
    }
};

/// Of histories in rows: saves that add messages to what is stored.
class extend_rows_type final : public rows_write {
public:
    explicit extend_rows_type(sql::target_table& table);

private:
    row_input input_of(const batch::operation& what) const override {
        return static_cast<const save_operation&>(what).added();
    }
};

/// Reads what such a save met which found no matching row: the version, the number of messages, and the epoch.
class history_probe_type final : public selecting_type {
public:
    explicit history_probe_type(sql::target_table& table);
};

/// The types that a save can have.
struct save_types {
    explicit save_types(sql::target_table& table);

    const batch::operation_type& of(const save_options& options,
                                    const detail::encoded_state& state) const noexcept;
    /// Of all of a state.
    const batch::operation_type& of_whole(const save_options& options,
                                          const detail::encoded_state& state) const noexcept;
    bool is_in_rows(const batch::traits* type) const noexcept;
    /// It adds messages to what is stored.
    bool extends(const batch::traits* type) const noexcept {
        return type == &extend || (rows && type == &rows->extend);
    }

    const sql::histories& where;

    insert_type save;
    insert_type renew;
    insert_type create;
    replace_type replace;
    extend_type extend;
    struct in_rows {
        explicit in_rows(sql::target_table& table);
        save_rows_type save;
        save_rows_type renew;
        save_rows_type create;
        save_rows_type replace;
        extend_rows_type extend;
    };
    std::optional<in_rows> rows; ///< where histories may be in rows
};

} // namespace pgstate::postgres

#endif
