#ifndef PGSTATE_POSTGRES_OPERATIONS_CHANGE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_CHANGE_HPP

#include "codec/change.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/probe.hpp"
#include "postgres/operations/rows_write.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/prepared.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace pgstate::postgres {

/// The conditions and the expiry of a change.
struct change_terms {
    std::optional<std::int64_t> if_version{};
    std::chrono::milliseconds ttl{0};         ///< 0: it stays as it is
    std::chrono::milliseconds created_ttl{0}; ///< of a state that is created; 0: never
};

class change_types;

/// append, merge and increment.
class change_operation final : public caller_operation<saved> {
public:
    change_operation(telemetry::operation_id which, const change_types& types, std::string agent,
                     std::string session, codec::encoded_change change, change_terms terms,
                     handler_type handler, const boost::asio::any_completion_executor& io);

    /// Adds the parameters, which stay here until the statement is sent.
    void add_to(wire::parameters& values) const;

    bool increments() const noexcept { return change_.increment.has_value(); }
    /// What it adds or, where it may create the state, the state that it creates, as JSON. \pre it is an append
    const std::string& document() const {
        const auto& parameters = change_.parameters;
        return std::get<codec::json_text>(change_.create ? parameters.back() : parameters.front()).text;
    }
    /// Of an append: what it puts into a statement on histories in rows.
    row_input messages() const;
    const change_terms& terms() const noexcept { return terms_; }
    /// Not empty: the ids of its messages, all of which can be there already.
    const std::vector<std::string>& ids() const noexcept { return change_.ids; }

    std::optional<std::int64_t> if_version() const noexcept override { return terms_.if_version; }
    bool conditional() const noexcept override { return terms_.if_version.has_value(); }
    bool probes() const noexcept override { return true; } // it may meet a row that it cannot change
    bool repeatable() const noexcept override { return !ids().empty() && !terms_.if_version; }
    bool wants_retry(const wire::rows& rows, int row) override;

private:
    result<saved> decode() override;
    bool repeats(const wire::rows& rows, int row) const;

    std::string agent_;
    std::string session_;
    const change_types& types_;
    codec::encoded_change change_;
    change_terms terms_;
    std::string
        rows_document_; ///< of the state that it creates, without the history: where that begins in rows
    contradictions contradicted_;
};

/// Of histories in rows: appends.
class append_rows_type final : public rows_write {
public:
    using rows_write::rows_write;

private:
    row_input input_of(const batch::operation& what) const override {
        return static_cast<const change_operation&>(what).messages();
    }
};

/// One form of change, to a state that must exist or to one that may be created.
class change_type final : public writing_type {
public:
    /// \param may_share  of appends without an expected version; of those that create a state, where they have no ttl either
    change_type(sql::target_table& table, codec::change_form form, bool create, bool may_share);

private:
    batch::command build_without_name(const batch::operation_list& operations) const override;

    bool create_;
    sql::by_size one_;
    sql::by_size many_; ///< of those that share
};

/// Reads the version that an append met which found nothing to add, and whether its messages are all there.
single_read make_repeat_probe(sql::target_table& table);

/// The types that a change can have.
class change_types {
public:
    explicit change_types(sql::target_table& table);
    const batch::operation_type& of(const codec::encoded_change& change,
                                    const change_terms& terms) const noexcept {
        const bool in_rows = begin_in_rows && appends(change);
        return in_rows ? of_rows(change) : of_documents(change, terms);
    }

    /// An append has one type for histories in documents and another for those in rows.
    bool may_be_in_rows(const codec::encoded_change& change) const noexcept {
        return rows_ && appends(change);
    }
    const batch::operation_type& of_documents(const codec::encoded_change& change,
                                              const change_terms& terms) const noexcept;
    /// \pre may_be_in_rows()
    const batch::operation_type& of_rows(const codec::encoded_change& change) const noexcept;

    const bool begin_in_rows;

    static bool appends(const codec::encoded_change& change) noexcept {
        return change.form == codec::change_form::append || change.form == codec::change_form::append_once;
    }

private:
    struct forms {
        std::unique_ptr<change_type> alone;
        std::unique_ptr<change_type> shared; ///< null: they share no statements
    };
    struct rows_forms {
        explicit rows_forms(sql::target_table& table);
        append_rows_type append;
        append_rows_type append_once;
        append_rows_type append_or_create;
        append_rows_type append_once_or_create;
    };
    std::array<forms, 2 * codec::change_forms> all_; ///< of each form, then of each with creation
    std::optional<rows_forms> rows_;
};

} // namespace pgstate::postgres

#endif
