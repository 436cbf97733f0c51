#include "pgstate/postgres_store.hpp"

#include "batch/shards.hpp"
#include "detail/cancellable_wait.hpp"
#include "pool/call.hpp"
#include "pool/sql_error.hpp"
#include "store/composed.hpp"
#include "store/cursor.hpp"
#include "store/migrate.hpp"
#include "store/operations.hpp"
#include "store/postgres_transaction.hpp"
#include "store/schema.hpp"
#include "store/statements.hpp"
#include "store/sweeper.hpp"
#include "store/validate.hpp"
#include "telemetry/hub.hpp"
#include "telemetry/instruments.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>

#include <pqxx/nontransaction>

#include <algorithm>
#include <cassert>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate {
namespace store {

class postgres_impl final : public sweeper::host {
public:
    postgres_impl(boost::asio::any_io_executor executor, const config& settings)
        : core(pool::core::create(std::move(executor), settings::resolve(settings))), pool(core),
          statements(std::make_shared<const table_statements>(core->config().table,
                                                              core->config().session_settings)),
          engines(core, statements), expired(std::make_shared<sweeper>(core->config().sweep)) {
        show_to_metrics();
    }

    ~postgres_impl() override {
        expired->stop();
        engines.shut_down();
    }

    bool busy() const override { return engines.count().queued + core->waiting() > 0; }

    void sweep(std::size_t most, bool failing, sweep_operation::handler_type over) override {
        start(
            std::move(over), telemetry::operation_id::sweep, call_options{}, [] {},
            [&](auto to) { return boost::intrusive_ptr(new sweep_operation(most, std::move(to), io)); },
            failing);
    }

    void after(std::chrono::steady_clock::duration delay, std::function<void()> then) override {
        core->after(delay, std::move(then));
    }

    /// The shorter of the configured and the call's own time-out.
    std::chrono::milliseconds timeout(std::chrono::milliseconds own) const {
        const auto configured = core->config().operation_timeout;
        if (own.count() == 0) return configured;
        return configured.count() == 0 ? own : std::min(own, configured);
    }

    /// Validates with `check`, then queues the operation that `make(handler)` gives.
    /// \param failing  the same failed the last time
    template <class T, class Options, class Check, class Make>
    void start(completion<T> handler, telemetry::operation_id id, const Options& options, Check check,
               Make make, bool failing = false) {
        const auto& told = core->telemetry();
        const auto limit = timeout(options.timeout);
        const auto now = told || limit.count() > 0 ? batch::clock::now() : batch::clock::time_point();
        std::unique_ptr<telemetry::operation_watch> watch;
        if (told) {
            watch = std::make_unique<telemetry::operation_watch>();
            watch->begin(told, id, now, options.parent);
            if (failing) watch->failing();
        }
        try {
            validate_timeout(options.timeout, telemetry::name_of(id));
            check();
        } catch (const error& e) {
            if (watch) watch->end(&e);
            return complete_at_once<T>(core->executor(), std::move(handler), e);
        }
        const auto what = make(std::move(handler));
        what->watch = std::move(watch);
        if (limit.count() > 0) what->deadline = now + limit;
        const auto& engine = engines.of(*what);
        if (auto slot = what->slot(); slot.is_connected())
            slot.assign([weak = std::weak_ptr(engine), what](boost::asio::cancellation_type) {
                if (const auto to = weak.lock()) to->cancel(what);
            });
        engines.submit(what);
    }

    void show_to_metrics() {
        const auto& told = core->telemetry();
        if (!told) return;
        namespace instruments = telemetry::instruments;
        const auto show = [&](const instrument& what, std::initializer_list<attribute> labels,
                              auto batch::counters::*value) {
            told->show(observations, what, telemetry::hub::owner::store, labels,
                       [this, value] { return static_cast<double>(engines.count().*value); });
        };
        told->show(observations, instruments::swept, telemetry::hub::owner::store, {},
                   [this] { return static_cast<double>(expired->swept_rows()); });
        const auto direction = [](std::string_view name) { return attribute{"network.io.direction", name}; };
        show(instruments::queue_depth, {}, &batch::counters::queued);
        show(instruments::pending_bytes, {}, &batch::counters::pending_bytes);
        show(instruments::conflicts, {}, &batch::counters::conflicts);
        show(instruments::bytes, {direction("transmit")}, &batch::counters::bytes_sent);
        show(instruments::bytes, {direction("receive")}, &batch::counters::bytes_received);
    }

    const std::shared_ptr<pool::core> core;
    connection_pool pool;
    const std::shared_ptr<const table_statements> statements;
    batch::shards engines;
    const std::shared_ptr<sweeper> expired;
    telemetry::observations observations; // end before what they read
    /// The store's executor, converted once: that allocates.
    const boost::asio::any_completion_executor io = core->executor();
    /// A worker may outlive the pool: what it reads is its own.
    const std::shared_ptr<const settings::resolved_config> shared_config =
        std::make_shared<const settings::resolved_config>(core->config());
};

namespace {

/// \pre the handle has a store
postgres_impl& in(const std::shared_ptr<postgres_impl>& handle) {
    assert(handle && "an operation of a postgres_store without a store");
    return *handle;
}

} // namespace
} // namespace store

postgres_store::postgres_store() noexcept = default;
postgres_store::postgres_store(postgres_store&&) noexcept = default;
postgres_store& postgres_store::operator=(postgres_store&&) noexcept = default;
postgres_store::postgres_store(std::shared_ptr<store::postgres_impl> impl) noexcept
    : impl_(std::move(impl)) {}
postgres_store::~postgres_store() = default;

connection_pool& postgres_store::pool() noexcept {
    return store::in(impl_).pool;
}

store_stats postgres_store::stats() const noexcept {
    const auto done = store::in(impl_).engines.count();
    return {done.operations, done.statements, done.operations_sent, done.retries,
            done.conflicts,  done.bytes_sent, done.bytes_received,  impl_->expired->swept_rows(),
            done.queued,     done.pending,    done.pending_bytes};
}

namespace {

settings::resolved_config resolve_without_server(config settings) {
    if (settings.connection_string.empty())
        settings.connection_string = "postgresql://"; // what is asked for does not depend on it
    return settings::resolve(settings);
}

} // namespace

std::string postgres_store::schema_sql(const config& settings) {
    return store::schema_sql(resolve_without_server(settings));
}

schema_report postgres_store::inspect_schema(pqxx::connection& connection, const config& settings) {
    return store::inspect(connection, resolve_without_server(settings));
}

std::string postgres_store::quoted_table(const config& settings) {
    return resolve_without_server(settings).table.quoted();
}

void postgres_store::start_open(boost::asio::any_io_executor executor,
                                const std::shared_ptr<const config>& settings,
                                completion<postgres_store> handler) {
    std::shared_ptr<store::postgres_impl> impl;
    try {
        impl = std::make_shared<store::postgres_impl>(executor, *settings);
    } catch (const error& e) {
        return store::complete_at_once<postgres_store>(executor, std::move(handler), e);
    }
    const auto& core = impl->core;
    auto prepare = [config = impl->shared_config, statements = impl->statements, told = core->telemetry()](
                       pqxx::connection& connection, const pool::call_context& context) {
        try {
            // Citus's catalog of distributed tables.
            const auto citus =
                pqxx::nontransaction(connection).exec("SELECT to_regclass('pg_dist_partition') IS NOT NULL");
            if (citus[0][0].as<bool>()) statements->found_citus();
        } catch (...) {
            pool::rethrow_as_error("open");
        }
        telemetry::in_span(told.get(), "pgstate.migrate", context.span,
                           [&] { store::migrate(connection, *config); });
        if (told) told->log_life("store opened");
    };
    // If opening fails the relay drops the store, which closes what was opened.
    auto opened = std::make_shared<std::optional<postgres_store>>(postgres_store(impl));
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto where = boost::asio::get_associated_executor(handler, impl->io);
    detail::value_relay<postgres_store> relay{std::move(handler), std::move(opened)};
    auto begin = [impl, relay = std::move(relay)](result<void> outcome) mutable {
        if (outcome) impl->expired->start(impl);
        impl.reset();
        relay(std::move(outcome));
    };
    pool::call_with_connection(
        core, std::move(prepare),
        {telemetry::operation_id::open, core->config().operation_timeout, true, true, {}, {}},
        boost::asio::bind_cancellation_slot(slot, boost::asio::bind_executor(where, std::move(begin))));
}

void postgres_store::do_save(detail::encoded_state state, save_options options, completion<saved> handler) {
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::save, options,
        [&] {
            if (state.failure) throw *state.failure;
            store::validate_ttl(options.ttl, "save");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new store::save_operation(
                std::move(state), options.if_unchanged,
                options.ttl.value_or(impl_->shared_config->default_ttl), std::move(to), impl_->io));
        });
}

void postgres_store::do_load(std::string agent_id, std::string session_id, load_options options,
                             completion<std::optional<agent_state>> handler) {
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::load, options,
        [&] { store::validate_key(agent_id, session_id, "load"); },
        [&](auto to) {
            return boost::intrusive_ptr(new store::load_operation(std::move(agent_id), std::move(session_id),
                                                                  std::move(to), impl_->io));
        });
}

void postgres_store::do_erase(std::string agent_id, std::string session_id, erase_options options,
                              completion<bool> handler) {
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::erase, options,
        [&] { store::validate_key(agent_id, session_id, "erase"); },
        [&](auto to) {
            return boost::intrusive_ptr(new store::erase_operation(
                std::move(agent_id), std::move(session_id), options.if_version, std::move(to), impl_->io));
        });
}

void postgres_store::do_touch(std::string agent_id, std::string session_id,
                              std::optional<std::chrono::milliseconds> ttl, call_options options,
                              completion<saved> handler) {
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::touch, options,
        [&] {
            store::validate_key(agent_id, session_id, "touch");
            store::validate_ttl(ttl, "touch");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new store::change_operation(
                telemetry::operation_id::touch, std::move(agent_id), std::move(session_id), {},
                {.ttl = ttl.value_or(std::chrono::milliseconds(0))}, std::move(to), impl_->io));
        });
}

void postgres_store::do_change(std::string agent_id, std::string session_id, detail::state_change change,
                               change_options options, completion<saved> handler) {
    const auto id = store::operation_of(change);
    const auto name = telemetry::name_of(id);
    store::encoded_change encoded;
    store::in(impl_).start(
        std::move(handler), id, options,
        [&] {
            store::validate_key(agent_id, session_id, name);
            store::validate_change(options, name);
            encoded = store::encode_change(change, agent_id, session_id, options.create);
        },
        [&](auto to) {
            const auto ttl = options.ttl.value_or(std::chrono::milliseconds(0));
            return boost::intrusive_ptr(new store::change_operation(
                id, std::move(agent_id), std::move(session_id), std::move(encoded),
                {options.if_version, ttl, options.ttl.value_or(impl_->shared_config->default_ttl)},
                std::move(to), impl_->io));
        });
}

void postgres_store::do_list(std::string agent_id, list_options options, completion<session_page> handler) {
    std::optional<store::page_position> after;
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::list, options,
        [&] {
            store::validate_agent(agent_id, "list");
            store::validate_list(options);
            if (!options.after.empty())
                after = store::decode_cursor(store::query_kind::list, agent_id, options.after, "list");
        },
        [&](auto to) {
            return boost::intrusive_ptr(new store::list_operation(
                std::move(agent_id), options.limit, std::move(after), std::move(to), impl_->io));
        });
}

void postgres_store::do_list_agents(list_agents_options options, completion<agent_page> handler) {
    std::optional<store::page_position> after;
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::list_agents, options,
        [&] {
            store::validate_list_agents(options);
            if (!options.after.empty())
                after =
                    store::decode_cursor(store::query_kind::list_agents, {}, options.after, "list_agents");
        },
        [&](auto to) {
            return boost::intrusive_ptr(
                new store::list_agents_operation(options.limit, std::move(after), std::move(to), impl_->io));
        });
}

void postgres_store::do_find(state_query query, find_options options, completion<state_page> handler) {
    store::encoded_query encoded;
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::find, options,
        [&] { encoded = store::encode_query(query, options); },
        [&](auto to) {
            return boost::intrusive_ptr(new store::find_operation(
                std::move(encoded), impl_->statements->text(), impl_->shared_config->schema.jsonb_index,
                std::move(to), impl_->io));
        });
}

void postgres_store::do_count(std::optional<std::string> agent_id, count_options options,
                              completion<std::int64_t> handler) {
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::count, options,
        [&] {
            if (agent_id) store::validate_agent(*agent_id, "count");
        },
        [&](auto to) {
            return boost::intrusive_ptr(
                new store::count_operation(std::move(agent_id), options.estimate, std::move(to), impl_->io));
        });
}

void postgres_store::do_health_check(call_options options, completion<health_report> handler) {
    store::in(impl_).start(
        std::move(handler), telemetry::operation_id::health_check, options, [] {},
        [&](auto to) {
            return boost::intrusive_ptr(new store::health_operation(impl_->core, std::move(to), impl_->io));
        });
}

void postgres_store::do_transaction(std::function<void(class transaction&)> function,
                                    transaction_options options, completion<void> handler) {
    std::shared_ptr<void> place;
    try {
        store::validate_transaction(options);
        place = std::make_shared<batch::admission::place>(store::in(impl_).engines.enter("transaction"));
    } catch (const error& e) {
        return store::complete_at_once<void>(impl_->core->executor(), std::move(handler), e);
    }
    auto work = [function = std::move(function), options, config = impl_->shared_config,
                 kept = impl_->statements->kept(), told = impl_->core->telemetry()](
                    pqxx::connection& connection, const pool::call_context& context) {
        store::run_transaction(connection, *config, function, options, kept, context, told);
    };
    pool::call_with_connection(impl_->core, std::move(work),
                               {telemetry::operation_id::transaction, impl_->timeout(options.timeout), true,
                                false, options.parent, std::move(place)},
                               std::move(handler));
}

detail::store_reference postgres_store::do_refer() const {
    return {store::in(impl_).core->executor(),
            [weak = std::weak_ptr(impl_)]() -> std::unique_ptr<state_store> {
                auto impl = weak.lock();
                if (!impl) return nullptr;
                return std::unique_ptr<state_store>(new postgres_store(std::move(impl)));
            }};
}

void postgres_store::do_close(completion<void> handler) {
    auto wait =
        detail::cancellable_wait::start(std::move(handler), store::in(impl_).core->executor(), "close");
    impl_->expired->stop();
    // First the engine has to come to rest, then the pool.
    impl_->engines.close([wait, core = impl_->core] {
        core->close([wait, told = core->telemetry()] {
            if (told) told->log_life("store closed");
            wait->finish();
        });
    });
}

} // namespace pgstate
