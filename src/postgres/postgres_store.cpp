#include "pgstate/postgres_store.hpp"

#include "codec/cursor.hpp"
#include "codec/validate.hpp"
#include "compose/composed.hpp"
#include "detail/cancellable_wait.hpp"
#include "pool/call.hpp"
#include "pool/sql_error.hpp"
#include "postgres/impl.hpp"
#include "postgres/operations/types.hpp"
#include "postgres/transaction.hpp"
#include "schema/definition.hpp"
#include "schema/migrate.hpp"
#include "telemetry/hub.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate {

postgres_store::postgres_store() noexcept = default;
postgres_store::postgres_store(postgres_store&&) noexcept = default;
postgres_store& postgres_store::operator=(postgres_store&&) noexcept = default;
postgres_store::postgres_store(std::shared_ptr<postgres::impl> impl) noexcept : impl_(std::move(impl)) {}
postgres_store::~postgres_store() = default;

connection_pool& postgres_store::pool() noexcept {
    return postgres::in(impl_).pool;
}

store_stats postgres_store::stats() const noexcept {
    const auto done = postgres::in(impl_).engines.count();
    return {done.operations, done.statements, done.operations_sent, done.retries,
            done.conflicts,  done.bytes_sent, done.bytes_received,  impl_->expired->swept_rows(),
            done.queued,     done.pending,    done.pending_bytes,   impl_->expired->protected_rows()};
}

namespace {

/// A store that is being opened: nobody has a handle to it yet who could end it, and it holds itself by what waits for its first
/// connection. This is pending on the event loop, and ends with it.
struct opening {
    std::shared_ptr<pool::core> core; ///< null: it is open
    ~opening() {
        if (core) core->shut_down();
    }
};

settings::resolved_config resolve_without_server(config settings) {
    if (settings.connection_string.empty())
        settings.connection_string = "postgresql://"; // what is asked for does not depend on it
    return settings::resolve(settings);
}

} // namespace

std::string postgres_store::schema_sql(const config& settings) {
    return schema::schema_sql(resolve_without_server(settings));
}

schema_report postgres_store::inspect_schema(pqxx::connection& connection, const config& settings) {
    return schema::inspect(connection, resolve_without_server(settings));
}

std::string postgres_store::quoted_table(const config& settings) {
    return resolve_without_server(settings).table.quoted();
}

std::string postgres_store::quoted_checkpoints_table(const config& settings) {
    return resolve_without_server(settings).table.quoted_related(schema::checkpoints_suffix);
}

std::string postgres_store::quoted_messages_table(const config& settings) {
    return resolve_without_server(settings).table.quoted_related(schema::messages_suffix);
}

void postgres_store::start_open(boost::asio::any_io_executor executor,
                                const std::shared_ptr<const config>& settings,
                                completion<postgres_store> handler) {
    std::shared_ptr<postgres::impl> impl;
    try {
        impl = std::make_shared<postgres::impl>(executor, *settings);
    } catch (const error& e) {
        return compose::complete_at_once<postgres_store>(executor, std::move(handler), e);
    }
    const auto& core = impl->core;
    const auto where = std::make_shared<sql::histories>();
    auto prepare = [config = impl->shared_config, hub = core->telemetry(),
                    where](pqxx::connection& connection, const pool::call_context& context) {
        telemetry::in_span(hub.get(), "pgstate.migrate", context.span,
                           [&] { *where = schema::migrate(connection, *config); });
        if (hub) hub->log_life("store opened");
    };
    // If opening fails the relay drops the store, which closes what was opened.
    auto opened = std::make_shared<std::optional<postgres_store>>(postgres_store(impl));
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto on = boost::asio::get_associated_executor(handler, impl->io);
    detail::value_relay<postgres_store> relay{std::move(handler), std::move(opened)};
    auto pending = std::make_shared<opening>();
    pending->core = core;
    auto on_loop =
        std::make_unique<boost::asio::steady_timer>(executor, boost::asio::steady_timer::time_point::max());
    on_loop->async_wait([pending](auto) {});
    auto begin = [impl, where, weak = std::weak_ptr(pending), on_loop = std::move(on_loop),
                  relay = std::move(relay)](result<void> outcome) mutable {
        if (const auto still = weak.lock()) still->core.reset();
        on_loop.reset();
        if (outcome) {
            impl->use(std::move(*where));
            impl->expired->start(impl);
        }
        impl.reset();
        relay(std::move(outcome));
    };
    pending.reset();
    pool::call_with_connection(
        core, std::move(prepare),
        {telemetry::operation_id::open, core->config().operation_timeout, true, true, {}, {}},
        boost::asio::bind_cancellation_slot(slot, boost::asio::bind_executor(on, std::move(begin))));
}

void postgres_store::do_save(detail::encoded_state state, save_options options, completion<saved> handler) {
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::save, options,
        [&] {
            if (state.failure) throw *state.failure;
            codec::validate_ttl(options.ttl, "save");
        },
        [&](auto to) {
            return boost::intrusive_ptr(
                new postgres::save_operation(impl_->types().save, std::move(state), options,
                                             impl_->shared_config->default_ttl, std::move(to), impl_->io));
        });
}

void postgres_store::do_load(std::string agent_id, std::string session_id, load_options options,
                             completion<std::optional<agent_state>> handler) {
    auto& of = postgres::in(impl_);
    if (options.at)
        return load_at(of, std::move(agent_id), std::move(session_id), options, std::move(handler));
    of.start(
        std::move(handler), telemetry::operation_id::load, options,
        [&] {
            codec::validate_key(agent_id, session_id, "load");
            codec::validate_load(options);
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::load_operation(
                impl_->types().of_load(options.history), std::move(agent_id), std::move(session_id),
                options.history, std::move(to), impl_->io));
        });
}

void postgres_store::do_erase(std::string agent_id, std::string session_id, erase_options options,
                              completion<bool> handler) {
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::erase, options,
        [&] { codec::validate_key(agent_id, session_id, "erase"); },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::erase_operation(
                options.if_version ? static_cast<const batch::operation_type&>(impl_->types().erase_version)
                                   : impl_->types().erase,
                std::move(agent_id), std::move(session_id), options.if_version, std::move(to), impl_->io));
        });
}

void postgres_store::do_touch(std::string agent_id, std::string session_id,
                              std::optional<std::chrono::milliseconds> ttl, call_options options,
                              completion<saved> handler) {
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::touch, options,
        [&] {
            codec::validate_key(agent_id, session_id, "touch");
            codec::validate_ttl(ttl, "touch");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::touch_operation(
                impl_->types().touch, std::move(agent_id), std::move(session_id),
                ttl.value_or(std::chrono::milliseconds(0)), std::move(to), impl_->io));
        });
}

void postgres_store::do_change(std::string agent_id, std::string session_id, detail::state_change change,
                               change_options options, completion<saved> handler) {
    const auto id = codec::operation_of(change);
    const auto name = telemetry::name_of(id);
    codec::encoded_change encoded;
    postgres::in(impl_).start(
        std::move(handler), id, options,
        [&] {
            codec::validate_key(agent_id, session_id, name);
            codec::validate_change(options, name);
            encoded = codec::encode_change(change, agent_id, session_id, options.create);
        },
        [&](auto to) {
            const postgres::change_terms terms{options.if_version,
                                               options.ttl.value_or(std::chrono::milliseconds(0)),
                                               options.ttl.value_or(impl_->shared_config->default_ttl)};
            return boost::intrusive_ptr(new postgres::change_operation(
                id, impl_->types().change, std::move(agent_id), std::move(session_id), std::move(encoded),
                terms, std::move(to), impl_->io));
        });
}

void postgres_store::do_list(std::string agent_id, list_options options, completion<session_page> handler) {
    std::optional<codec::page_position> after;
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::list, options,
        [&] {
            codec::validate_agent(agent_id, "list");
            codec::validate_list(options);
            if (!options.after.empty())
                after = codec::decode_cursor(codec::query_kind::list, agent_id, options.after, "list");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::list_operation(impl_->types().list, std::move(agent_id),
                                                                     options.limit, std::move(after),
                                                                     std::move(to), impl_->io));
        });
}

void postgres_store::do_list_agents(list_agents_options options, completion<agent_page> handler) {
    std::optional<codec::page_position> after;
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::list_agents, options,
        [&] {
            codec::validate_list_agents(options);
            if (!options.after.empty())
                after =
                    codec::decode_cursor(codec::query_kind::list_agents, {}, options.after, "list_agents");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::list_agents_operation(
                impl_->types().list_agents, options.limit, std::move(after), std::move(to), impl_->io));
        });
}

void postgres_store::do_find(state_query query, find_options options, completion<state_page> handler) {
    codec::encoded_query encoded;
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::find, options,
        [&] { encoded = codec::encode_query(query, options); },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::find_operation(
                impl_->types().find, std::move(encoded), impl_->dialect->table().sql(),
                impl_->shared_config->schema.jsonb_index, std::move(to), impl_->io));
        });
}

void postgres_store::do_count(std::optional<std::string> agent_id, count_options options,
                              completion<std::int64_t> handler) {
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::count, options,
        [&] {
            if (agent_id) codec::validate_agent(*agent_id, "count");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new postgres::count_operation(
                options.estimate ? static_cast<const batch::operation_type&>(impl_->types().estimate)
                                 : impl_->types().count,
                std::move(agent_id), options.estimate, std::move(to), impl_->io));
        });
}

void postgres_store::do_health_check(call_options options, completion<health_report> handler) {
    postgres::in(impl_).start(
        std::move(handler), telemetry::operation_id::health_check, options, [] {},
        [&](auto to) {
            return boost::intrusive_ptr(
                new postgres::health_operation(impl_->types().health, impl_->core, std::move(to), impl_->io));
        });
}

void postgres_store::do_transaction(std::function<void(class transaction&)> function,
                                    transaction_options options, completion<void> handler) {
    std::shared_ptr<void> place;
    try {
        codec::validate_transaction(options);
        place = std::make_shared<batch::admission::place>(postgres::in(impl_).engines.enter("transaction"));
    } catch (const error& e) {
        return compose::complete_at_once<void>(impl_->core->executor(), std::move(handler), e);
    }
    auto work = [function = std::move(function), options, config = impl_->shared_config,
                 where = impl_->dialect->table().sql().where(), hub = impl_->core->telemetry()](
                    pqxx::connection& connection, const pool::call_context& context) {
        postgres::run_transaction(connection, *config, where, function, options, context, hub);
    };
    pool::call_with_connection(impl_->core, std::move(work),
                               {telemetry::operation_id::transaction, impl_->timeout(options.timeout), true,
                                false, options.parent, std::move(place)},
                               std::move(handler));
}

detail::store_reference postgres_store::do_refer() const {
    return {postgres::in(impl_).core->executor(),
            [weak = std::weak_ptr(impl_)]() -> std::unique_ptr<state_store> {
                auto impl = weak.lock();
                if (!impl) return nullptr;
                return std::unique_ptr<state_store>(new postgres_store(std::move(impl)));
            }};
}

void postgres_store::do_close(completion<void> handler) {
    auto wait =
        detail::cancellable_wait::start(std::move(handler), postgres::in(impl_).core->executor(), "close");
    impl_->expired->stop();
    // Both refuse what comes from now on. When both have come to rest, the pool can be closed.
    auto close_pool = [wait, weak = std::weak_ptr(impl_->core),
                       busy = std::make_shared<std::atomic<int>>(2)] {
        if (busy->fetch_sub(1) != 1) return;
        const auto core = weak.lock(); // which has the calls: it must not belong to what waits for them
        if (!core) return wait->finish();
        core->close([wait, hub = core->telemetry()] {
            if (hub) hub->log_life("store closed");
            wait->finish();
        });
    };
    impl_->engines.close(close_pool);
    impl_->core->calls()->close(close_pool);
}

} // namespace pgstate
