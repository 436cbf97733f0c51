// The operations of postgres_store on checkpoints.

#include "codec/cursor.hpp"
#include "codec/validate.hpp"
#include "pgstate/error.hpp"
#include "postgres/impl.hpp"

#include <optional>
#include <utility>

namespace pgstate {
namespace postgres {
namespace {

void require_checkpoints(const impl& of, std::string_view operation) {
    if (!of.shared_config->schema.checkpoints)
        throw error(errc::schema_mismatch, operation,
                    "the store was opened without a table of checkpoints; set config.schema.checkpoints");
}

} // namespace

void load_at(impl& of, std::string agent_id, std::string session_id, const load_options& options,
             completion<std::optional<agent_state>> handler) {
    of.start(
        std::move(handler), telemetry::operation_id::load, options,
        [&] {
            codec::validate_key(agent_id, session_id, "load");
            codec::validate_load(options);
            require_checkpoints(of, "load");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new load_at_operation(of.types().checkpoints.load_at,
                                                              std::move(agent_id), std::move(session_id),
                                                              *options.at, std::move(to), of.io));
        });
}

} // namespace postgres

using postgres::require_checkpoints;

void postgres_store::do_checkpoint(std::string agent_id, std::string session_id, std::string label,
                                   call_options options, completion<checkpoint_info> handler) {
    auto& of = postgres::in(impl_);
    of.start(
        std::move(handler), telemetry::operation_id::checkpoint, options,
        [&] {
            codec::validate_key(agent_id, session_id, "checkpoint");
            codec::validate_label(label);
            require_checkpoints(of, "checkpoint");
        },
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
    of.start(
        std::move(handler), telemetry::operation_id::checkpoints, options,
        [&] {
            codec::validate_key(agent_id, session_id, "checkpoints");
            codec::validate_checkpoints(options);
            require_checkpoints(of, "checkpoints");
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
    of.start(
        std::move(handler), telemetry::operation_id::restore, options,
        [&] {
            codec::validate_key(agent_id, session_id, "restore");
            codec::validate_ttl(options.ttl, "restore");
            require_checkpoints(of, "restore");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::restore_operation(
                of.types().checkpoints.restore, std::move(agent_id), std::move(session_id), version, options,
                std::move(to), of.io));
        });
}

void postgres_store::do_fork(std::string agent_id, std::string session_id, std::string new_session_id,
                             fork_options options, completion<saved> handler) {
    auto& of = postgres::in(impl_);
    of.start(
        std::move(handler), telemetry::operation_id::fork, options,
        [&] {
            codec::validate_key(agent_id, session_id, "fork");
            codec::validate_new_session(agent_id, new_session_id, "fork");
            codec::validate_ttl(options.ttl, "fork");
            require_checkpoints(of, "fork");
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
    of.start(
        std::move(handler), telemetry::operation_id::prune, options,
        [&] {
            codec::validate_key(agent_id, session_id, "prune");
            codec::validate_prune(options);
            require_checkpoints(of, "prune");
        },
        [&](auto to) {
            return boost::intrusive_ptr(
                new postgres::prune_operation(of.types().checkpoints.prune, std::move(agent_id),
                                              std::move(session_id), options, std::move(to), of.io));
        });
}

} // namespace pgstate
