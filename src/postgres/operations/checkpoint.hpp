#ifndef PGSTATE_POSTGRES_OPERATIONS_CHECKPOINT_HPP
#define PGSTATE_POSTGRES_OPERATIONS_CHECKPOINT_HPP

#include "pgstate/checkpoint.hpp"
#include "postgres/operations/caller_operation.hpp"
#include "postgres/operations/probe.hpp"
#include "postgres/operations/written_row.hpp"
#include "wire/statement.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgstate::postgres {

/// Keeps the state as it is. May be repeated: the version names the checkpoint.
class checkpoint_operation final : public caller_operation<checkpoint_info> {
public:
    checkpoint_operation(const batch::operation_type& as, std::string agent, std::string session,
                         std::string label, handler_type handler,
                         const boost::asio::any_completion_executor& io);

    const std::string& label() const noexcept { return label_; }
    bool repeatable() const noexcept override { return true; }

private:
    result<checkpoint_info> decode() override;

    std::string agent_;
    std::string session_;
    std::string label_;
};

class checkpoints_operation final : public caller_operation<checkpoint_page> {
public:
    /// \param before  only older versions; nothing: all
    checkpoints_operation(const batch::operation_type& as, std::string agent, std::string session,
                          std::size_t limit, std::optional<std::int64_t> before, handler_type handler,
                          const boost::asio::any_completion_executor& io);

    std::size_t limit() const noexcept { return limit_; }
    const std::optional<std::int64_t>& before() const noexcept { return before_; }

private:
    result<checkpoint_page> decode() override;

    std::string agent_;
    std::string session_;
    std::size_t limit_;
    std::optional<std::int64_t> before_;
};

class load_at_operation final : public caller_operation<std::optional<agent_state>> {
public:
    load_at_operation(const batch::operation_type& as, std::string agent, std::string session,
                      std::int64_t version, handler_type handler,
                      const boost::asio::any_completion_executor& io);

    std::int64_t version() const noexcept { return version_; }

private:
    result<std::optional<agent_state>> decode() override;

    std::string agent_;
    std::string session_;
    std::int64_t version_;
};

class restore_operation final : public caller_operation<saved> {
public:
    restore_operation(const batch::operation_type& as, std::string agent, std::string session,
                      std::int64_t version, const restore_options& options, handler_type handler,
                      const boost::asio::any_completion_executor& io);

    std::int64_t version() const noexcept { return version_; }
    std::chrono::milliseconds ttl() const noexcept { return ttl_; }

    std::optional<std::int64_t> if_version() const noexcept override { return if_version_; }
    bool conditional() const noexcept override { return if_version_.has_value(); }
    bool probes() const noexcept override { return true; }
    bool wants_retry(const wire::rows& rows, int row) override;

private:
    result<saved> decode() override;

    std::string agent_;
    std::string session_;
    std::int64_t version_;
    std::optional<std::int64_t> if_version_;
    std::chrono::milliseconds ttl_; ///< 0: the expiry stays
    contradictions contradicted_;
};

/// Of the new session's key.
class fork_operation final : public caller_operation<saved> {
public:
    /// \param default_ttl  if `options` have none; 0: it never expires
    fork_operation(const batch::operation_type& as, std::string agent, std::string session,
                   std::string new_session, const fork_options& options,
                   std::chrono::milliseconds default_ttl, handler_type handler,
                   const boost::asio::any_completion_executor& io);

    const std::string& source() const noexcept { return source_; }
    const std::optional<std::int64_t>& at() const noexcept { return at_; }
    std::chrono::milliseconds ttl() const noexcept { return ttl_; }

    bool conditional() const noexcept override { return true; }
    bool wants_retry(const wire::rows& rows, int row) override;

private:
    result<saved> decode() override;

    std::string agent_;
    std::string source_;
    std::string new_session_;
    std::optional<std::int64_t> at_;
    std::chrono::milliseconds ttl_;
    contradictions contradicted_;
};

/// May be repeated, and then counts those that its last try has removed.
class prune_operation final : public caller_operation<std::int64_t> {
public:
    prune_operation(const batch::operation_type& as, std::string agent, std::string session,
                    const prune_options& options, handler_type handler,
                    const boost::asio::any_completion_executor& io);

    std::size_t keep() const noexcept { return keep_; }
    std::chrono::milliseconds older_than() const noexcept { return older_than_; }
    bool repeatable() const noexcept override { return true; }

private:
    result<std::int64_t> decode() override;

    std::string agent_;
    std::string session_;
    std::size_t keep_;
    std::chrono::milliseconds older_than_;
};

/// A statement that writes, and that no operations share. It is planned each time: the plan that a server keeps for a table
/// with nothing in it would stay when the table has grown.
class checkpoint_write final : public writing_type {
public:
    /// \param names  the row keeps the statement's name, its last parameter
    checkpoint_write(sql::target_table& table, wire::statement statement, add_values add, bool names);

private:
    batch::command build_without_name(const batch::operation_list& operations) const override;
    bool leaves_name() const noexcept override { return names_; }

    wire::statement statement_;
    add_values add_;
    bool names_;
};

/// The types of the operations on checkpoints, and of the probes of two of them.
struct checkpoint_types {
    explicit checkpoint_types(sql::target_table& table);

    checkpoint_write make;
    single_read list;
    single_read load_at;
    checkpoint_write restore;
    single_read restore_probe;
    checkpoint_write fork;
    single_read fork_probe;
    checkpoint_write prune;
};

} // namespace pgstate::postgres

#endif
