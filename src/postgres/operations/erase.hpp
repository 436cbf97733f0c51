#ifndef PGSTATE_POSTGRES_OPERATIONS_ERASE_HPP
#define PGSTATE_POSTGRES_OPERATIONS_ERASE_HPP

#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/prepared.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace pgstate::postgres {

class erase_operation final : public caller_operation<bool> {
public:
    erase_operation(const batch::operation_type& as, std::string agent, std::string session,
                    std::optional<std::int64_t> if_version, handler_type handler,
                    const boost::asio::any_completion_executor& io);

    std::optional<std::int64_t> if_version() const noexcept override { return if_version_; }
    bool conditional() const noexcept override { return if_version_.has_value(); }
    bool probes() const noexcept override { return true; } // nothing to erase, or it was not erased
    bool wants_retry(const wire::rows& rows, int row) override;

private:
    result<bool> decode() override;

    std::string agent_;
    std::string session_;
    std::optional<std::int64_t> if_version_;
    contradictions contradicted_;
};

/// Erases any version.
class erase_type final : public writing_type {
public:
    explicit erase_type(sql::target_table& table);

private:
    batch::command build_without_name(const batch::operation_list& operations) const override;
    bool leaves_name() const noexcept override { return false; }

    sql::lookup statements_;
};

/// Erases a certain version.
class erase_version_type final : public writing_type {
public:
    explicit erase_version_type(sql::target_table& table);

private:
    batch::command build_without_name(const batch::operation_list& operations) const override;
    bool leaves_name() const noexcept override { return false; }

    sql::by_size statement_;
};

} // namespace pgstate::postgres

#endif
