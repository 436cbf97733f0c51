// The operations of postgres_store on checkpoints.

#include "codec/cursor.hpp"
#include "codec/validate.hpp"
#include "pgstate/error.hpp"
#include "postgres/impl.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace pgstate {
namespace postgres {
namespace {

/// As impl::start, of an operation on the state of a key: `check` checks what else it is given.
template <class T, class Options, class Check, class Make>
void start_on_key(impl& of, completion<T> handler, telemetry::operation_id id, std::string_view agent_id,
                  std::string_view session_id, const Options& options, Check check, Make make) {
    const auto name = telemetry::name_of(id);
    of.start(
        std::move(handler), id, options,
        [&] {
            codec::validate_key(agent_id, session_id, name);
            check();
            if (!of.shared_config->schema.checkpoints)
                throw error(
                    errc::schema_mismatch, name,
                    "the store was opened without a table of checkpoints; set config.schema.checkpoints");
        },
        make);
}

} // namespace

void load_at(impl& of, std::string agent_id, std::string session_id, const load_options& options,
             completion<std::optional<agent_state>> handler) {
    start_on_key(
        of, std::move(handler), telemetry::operation_id::load, agent_id, session_id, options,
        [&] { codec::validate_load(options); },
        [&](auto to) {
            return boost::intrusive_ptr(new load_at_operation(of.types().checkpoints.load_at,
                                                              std::move(agent_id), std::move(session_id),
                                                              *options.at, std::move(to), of.io));
        });
}

} // namespace postgres

using postgres::start_on_key;

void postgres_store::do_checkpoint(std::string agent_id, std::string session_id, std::string label,
                                   call_options options, completion<checkpoint_info> handler) {
    auto& of = postgres::in(impl_);
    start_on_key(
        of, std::move(handler), telemetry::operation_id::checkpoint, agent_id, session_id, options,
        [&] { codec::validate_label(label); },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::checkpoint_operation(
                of.types().checkpoints.make, std::move(agent_id), std::move(session_id), std::move(label),
                std::move(to), of.io));
        });
}

void postgres_store::do_checkpoints(std::string agent_id, std::string session_id, list_options options,
                                    completion<checkpoint_page> handler) {
    auto& of = postgres::in(impl_);
    std::optional<std::int64_t> before;
    start_on_key(
        of, std::move(handler), telemetry::operation_id::checkpoints, agent_id, session_id, options,
        [&] {
            codec::validate_checkpoints(options);
            if (!options.after.empty())
                before = codec::checkpoint_of_cursor(agent_id, session_id, options.after);
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::checkpoints_operation(
                of.types().checkpoints.list, std::move(agent_id), std::move(session_id), options.limit,
                before, std::move(to), of.io));
        });
}

void postgres_store::do_restore(std::string agent_id, std::string session_id, std::int64_t version,
                                restore_options options, completion<saved> handler) {
    auto& of = postgres::in(impl_);
    start_on_key(
        of, std::move(handler), telemetry::operation_id::restore, agent_id, session_id, options,
        [&] { codec::validate_ttl(options.ttl, "restore"); },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::restore_operation(
                of.types().checkpoints.restore, std::move(agent_id), std::move(session_id), version, options,
                std::move(to), of.io));
        });
}

void postgres_store::do_fork(std::string agent_id, std::string session_id, std::string new_session_id,
                             fork_options options, completion<saved> handler) {
    auto& of = postgres::in(impl_);
    start_on_key(
        of, std::move(handler), telemetry::operation_id::fork, agent_id, session_id, options,
        [&] {
            codec::validate_new_session(agent_id, new_session_id, "fork");
            codec::validate_ttl(options.ttl, "fork");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::fork_operation(
                of.types().checkpoints.fork, std::move(agent_id), std::move(session_id),
                std::move(new_session_id), options, of.shared_config->default_ttl, std::move(to), of.io));
        });
}

void postgres_store::do_prune(std::string agent_id, std::string session_id, prune_options options,
                              completion<std::int64_t> handler) {
    auto& of = postgres::in(impl_);
    start_on_key(
        of, std::move(handler), telemetry::operation_id::prune, agent_id, session_id, options,
        [&] { codec::validate_prune(options); },
        [&](auto to) {
            return boost::intrusive_ptr(
                new postgres::prune_operation(of.types().checkpoints.prune, std::move(agent_id),
                                              std::move(session_id), options, std::move(to), of.io));
        });
}

} // namespace pgstate
