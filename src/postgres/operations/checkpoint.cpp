#include "postgres/operations/checkpoint.hpp"

#include "codec/change.hpp"
#include "codec/codec.hpp"
#include "codec/cursor.hpp"
#include "postgres/operations/load.hpp"
#include "postgres/operations/probe.hpp"
#include "sql/checkpoint_sql.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace pgstate::postgres {
namespace {

namespace made_row {
enum : int { horizon, version, label, created_at, messages };
} // namespace made_row
namespace kept_row {
enum : int { version, label, created_at, messages };
} // namespace kept_row
/// `found` is NULL where there is no checkpoint.
namespace kept_state_row {
/// Behind them, where histories may be in rows, the columns of loaded_row from `first` on.
enum : int { present = probed_row::version, found, state, created_at, updated_at, expires_at, first };
} // namespace kept_state_row
namespace restore_probe_row {
enum : int { present = probed_row::version, found };
} // namespace restore_probe_row
/// `target` is the version in the way, or 0.
namespace fork_probe_row {
enum : int { target = probed_row::version, source, found };
} // namespace fork_probe_row
namespace pruned_row {
enum : int { horizon, count };
} // namespace pruned_row

void add_or_null(wire::parameters& values, const std::optional<std::int64_t>& number) {
    number ? values.add_int8(*number) : values.add_null();
}

/// What a fork copies from, and where to: its own key is the new session's.
void add_source(wire::parameters& values, const fork_operation& fork) {
    values.add_text(fork.agent_id);
    values.add_text(fork.source());
    add_or_null(values, fork.at());
    values.add_text(fork.session_id);
}

/// The key, and what `more` adds.
template <class Operation, class More>
void add_to(wire::parameters& values, const batch::operation& what, More more) {
    sql::add_key(values, what);
    more(static_cast<const Operation&>(what));
}

std::int64_t counted(std::size_t number) {
    return static_cast<std::int64_t>(
        std::min(number, static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max())));
}

} // namespace

checkpoint_operation::checkpoint_operation(const batch::operation_type& as, std::string agent,
                                           std::string session, std::string label, handler_type handler,
                                           const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::checkpoint, as, std::move(handler), io),
      agent_(std::move(agent)), session_(std::move(session)), label_(std::move(label)) {
    set_key(agent_, session_);
    bytes += label_.size();
}

result<checkpoint_info> checkpoint_operation::decode() {
    if (row() < 0) return codec::not_found(name());
    return checkpoint_info{
        rows().int8(row(), made_row::version), std::string(rows().text(row(), made_row::label)),
        rows().timestamptz(row(), made_row::created_at), rows().int8(row(), made_row::messages)};
}

checkpoints_operation::checkpoints_operation(const batch::operation_type& as, std::string agent,
                                             std::string session, std::size_t limit,
                                             std::optional<std::int64_t> before, handler_type handler,
                                             const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::checkpoints, as, std::move(handler), io),
      agent_(std::move(agent)), session_(std::move(session)), limit_(limit), before_(before) {
    set_key(agent_, session_);
}

result<checkpoint_page> checkpoints_operation::decode() {
    checkpoint_page page;
    const auto found = static_cast<std::size_t>(rows().size());
    for (std::size_t i = 0; i < std::min(found, limit_); ++i) {
        const int at = static_cast<int>(i);
        page.checkpoints.push_back(
            {rows().int8(at, kept_row::version), std::string(rows().text(at, kept_row::label)),
             rows().timestamptz(at, kept_row::created_at), rows().int8(at, kept_row::messages)});
    }
    if (found > limit_)
        page.next = codec::cursor_of_checkpoint(agent_, session_, page.checkpoints.back().version);
    return page;
}

load_at_operation::load_at_operation(const batch::operation_type& as, std::string agent, std::string session,
                                     std::int64_t version, handler_type handler,
                                     const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::load, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), version_(version) {
    set_key(agent_, session_);
}

result<std::optional<agent_state>> load_at_operation::decode() {
    if (row() < 0) return std::nullopt;
    if (rows().is_null(row(), kept_state_row::found)) return codec::no_checkpoint(name(), version_);
    auto loaded = codec::decode(agent_, session_, rows().jsonb(row(), kept_state_row::state), version_,
                                rows().timestamptz(row(), kept_state_row::created_at),
                                rows().timestamptz(row(), kept_state_row::updated_at),
                                expiry_in(rows(), row(), kept_state_row::expires_at), name(),
                                messages_in_rows(rows(), row(), kept_state_row::first));
    note_window(loaded, rows(), row(), kept_state_row::first, history_window::all, name());
    return loaded;
}

restore_operation::restore_operation(const batch::operation_type& as, std::string agent, std::string session,
                                     std::int64_t version, const restore_options& options,
                                     handler_type handler, const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::restore, as, std::move(handler), io),
      agent_(std::move(agent)), session_(std::move(session)), version_(version),
      if_version_(options.if_version), ttl_(options.ttl.value_or(std::chrono::milliseconds(0))) {
    set_key(agent_, session_);
}

bool restore_operation::wants_retry(const wire::rows& rows, int row) {
    if (row < 0 || !rows.boolean(row, restore_probe_row::found)) return false;
    const auto present = probed_row::version_in(rows, row);
    return if_version_.value_or(present) == present && contradicted_.worth_retry(present);
}

result<saved> restore_operation::decode() {
    if (!probed() && row() >= 0) return written_row::read(*this, rows(), row(), true);
    if (row() < 0) return codec::not_found(name());
    const auto present = probed_row::version_in(rows(), row());
    if (if_version_ && *if_version_ != present) return codec::conflict(name(), *if_version_, present);
    if (!rows().boolean(row(), restore_probe_row::found)) return codec::no_checkpoint(name(), version_);
    return write_suppressed(name());
}

fork_operation::fork_operation(const batch::operation_type& as, std::string agent, std::string session,
                               std::string new_session, const fork_options& options,
                               std::chrono::milliseconds default_ttl, handler_type handler,
                               const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::fork, as, std::move(handler), io), agent_(std::move(agent)),
      source_(std::move(session)), new_session_(std::move(new_session)), at_(options.at),
      ttl_(options.ttl.value_or(default_ttl)) {
    set_key(agent_, new_session_);
    bytes += source_.size();
}

bool fork_operation::wants_retry(const wire::rows& rows, int row) {
    return row >= 0 && probed_row::version_in(rows, row) == 0 && rows.boolean(row, fork_probe_row::found) &&
           contradicted_.worth_retry(0);
}

result<saved> fork_operation::decode() {
    if (!probed() && row() >= 0) return written_row::read(*this, rows(), row(), true);
    if (const auto target = probed_row::version_in(rows(), row()); target != 0)
        return codec::conflict(name(), 0, target);
    if (!rows().boolean(row(), fork_probe_row::source)) return codec::not_found(name());
    if (!rows().boolean(row(), fork_probe_row::found)) return codec::no_checkpoint(name(), at_.value_or(0));
    return write_suppressed(name());
}

prune_operation::prune_operation(const batch::operation_type& as, std::string agent, std::string session,
                                 const prune_options& options, handler_type handler,
                                 const boost::asio::any_completion_executor& io)
    : caller_operation(telemetry::operation_id::prune, as, std::move(handler), io), agent_(std::move(agent)),
      session_(std::move(session)), keep_(options.keep), older_than_(std::min(options.older_than, max_ttl)) {
    set_key(agent_, session_);
}

result<std::int64_t> prune_operation::decode() {
    return rows().int8(row(), pruned_row::count);
}

checkpoint_write::checkpoint_write(sql::target_table& table, wire::statement statement, add_values add,
                                   bool names)
    : writing_type(table, false), statement_(std::move(statement)), add_(add), names_(names) {}

batch::command checkpoint_write::build_without_name(const batch::operation_list& operations) const {
    batch::command made{&statement_, {}, table().before_lookups()};
    add_(made.values, *operations.front());
    return made;
}

checkpoint_types::checkpoint_types(sql::target_table& table)
    : make(
          table, sql::checkpoint_sql::make(table),
          [](auto& values, const auto& what) {
              add_to<checkpoint_operation>(values, what,
                                           [&](const auto& each) { values.add_text(each.label()); });
          },
          false),
      list(table, sql::checkpoint_sql::list(table),
           [](auto& values, const auto& what) {
               add_to<checkpoints_operation>(values, what, [&](const auto& each) {
                   values.add_int8(counted(each.limit()) + 1); // to know whether there is a next page
                   add_or_null(values, each.before());
               });
           }),
      load_at(table, sql::checkpoint_sql::load_at(table),
              [](auto& values, const auto& what) {
                  add_to<load_at_operation>(values, what,
                                            [&](const auto& each) { values.add_int8(each.version()); });
              }),
      restore(
          table, sql::checkpoint_sql::restore(table, written_row::columns(true)),
          [](auto& values, const auto& what) {
              add_to<restore_operation>(values, what, [&](const auto& each) {
                  values.add_int8(each.version());
                  add_or_null(values, each.if_version());
                  values.add_int8(each.ttl().count());
              });
          },
          true),
      restore_probe(table, sql::checkpoint_sql::restore_probe(table),
                    [](auto& values, const auto& what) {
                        add_to<restore_operation>(values, what,
                                                  [&](const auto& each) { values.add_int8(each.version()); });
                    }),
      fork(
          table, sql::checkpoint_sql::fork(table, written_row::columns(true)),
          [](auto& values, const auto& what) {
              const auto& each = static_cast<const fork_operation&>(what);
              add_source(values, each);
              values.add_int8(each.ttl().count());
          },
          true),
      fork_probe(table, sql::checkpoint_sql::fork_probe(table),
                 [](auto& values, const auto& what) {
                     add_source(values, static_cast<const fork_operation&>(what));
                 }),
      prune(
          table, sql::checkpoint_sql::prune(table),
          [](auto& values, const auto& what) {
              add_to<prune_operation>(values, what, [&](const auto& each) {
                  values.add_int8(counted(each.keep()));
                  values.add_int8(each.older_than().count());
              });
          },
          false) {}

} // namespace pgstate::postgres
