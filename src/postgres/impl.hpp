#ifndef PGSTATE_POSTGRES_IMPL_HPP
#define PGSTATE_POSTGRES_IMPL_HPP

#include "batch/shards.hpp"
#include "codec/validate.hpp"
#include "compose/composed.hpp"
#include "detail/deadline.hpp"
#include "pgstate/connection_pool.hpp"
#include "pgstate/postgres_store.hpp"
#include "postgres/operations/types.hpp"
#include "postgres/sweeper.hpp"
#include "telemetry/hub.hpp"
#include "telemetry/instruments.hpp"

#include <boost/asio/any_completion_executor.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate::postgres {

/// What the handles of a store share.
class impl final : public sweeper::host {
public:
    impl(boost::asio::any_io_executor executor, const config& settings)
        : core(pool::core::create(std::move(executor), settings::resolve(settings))), pool(core),
          dialect(std::make_shared<table_dialect>(core->config().table, core->config().session_settings)),
          engines(core, dialect), expired(std::make_shared<sweeper>(core->config().sweep)) {
        show_to_metrics();
    }

    ~impl() override {
        expired->stop();
        engines.shut_down();
    }

    const operation_types& types() const noexcept { return dialect->types(); }

    /// What opening it has found. \pre no operation has been started
    void use(sql::histories where) { dialect->use(std::move(where)); }

    bool busy() const override { return engines.count().queued + core->waiting() > 0; }

    void sweep(sweep_request what, bool failing, sweep_operation::handler_type over) override {
        const auto& as = what.what == sweep_request::kind::survey ? types().survey : types().sweep;
        start(
            std::move(over), telemetry::operation_id::sweep, call_options{}, [] {},
            [&](auto to) {
                return boost::intrusive_ptr(new sweep_operation(as, std::move(what), std::move(to), io));
            },
            failing);
    }

    void left_protected(std::uint64_t rows, std::string_view sqlstate) override {
        if (const auto& hub = core->telemetry()) hub->log_protected(rows, sqlstate);
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
    /// \param failing  the last attempt failed too
    template <class T, class Options, class Check, class Make>
    void start(completion<T> handler, telemetry::operation_id id, const Options& options, Check check,
               Make make, bool failing = false) {
        const auto& hub = core->telemetry();
        const auto limit = timeout(options.timeout);
        const auto now = hub || limit.count() > 0 ? batch::clock::now() : batch::clock::time_point();
        std::unique_ptr<telemetry::operation_watch> watch;
        if (hub) {
            watch = std::make_unique<telemetry::operation_watch>();
            watch->begin(hub, id, now, options.parent);
            if (failing) watch->failing();
        }
        try {
            codec::validate_timeout(options.timeout, telemetry::name_of(id));
            check();
        } catch (const error& e) {
            if (watch) watch->end(&e);
            return compose::complete_at_once<T>(core->executor(), std::move(handler), e);
        }
        const auto what = make(std::move(handler));
        what->watch = std::move(watch);
        if (limit.count() > 0) {
            what->submitted = now;
            what->deadline = detail::deadline_after(now, limit);
        }
        const auto& engine = engines.of(*what);
        if (auto slot = what->slot(); slot.is_connected())
            slot.assign([weak = std::weak_ptr(engine),
                         handle = what->weak_handle()](boost::asio::cancellation_type how) {
                const auto to = weak.lock();
                if (auto still = to ? handle->get() : nullptr) to->cancel(std::move(still), how);
            });
        engines.submit(what);
    }

    void show_to_metrics() {
        const auto& hub = core->telemetry();
        if (!hub) return;
        namespace instruments = telemetry::instruments;
        const auto show = [&](const instrument& what, std::initializer_list<attribute> labels,
                              auto batch::counters::*value) {
            hub->show(observations, what, telemetry::hub::owner::store, labels,
                      [this, value] { return static_cast<double>(engines.count().*value); });
        };
        hub->show(observations, instruments::swept, telemetry::hub::owner::store, {},
                  [this] { return static_cast<double>(expired->swept_rows()); });
        hub->show(observations, instruments::protected_states, telemetry::hub::owner::store, {},
                  [this] { return static_cast<double>(expired->protected_rows()); });
        const auto direction = [](std::string_view name) { return attribute{"network.io.direction", name}; };
        show(instruments::queue_depth, {}, &batch::counters::queued);
        show(instruments::pending_bytes, {}, &batch::counters::pending_bytes);
        show(instruments::conflicts, {}, &batch::counters::conflicts);
        show(instruments::bytes, {direction("transmit")}, &batch::counters::bytes_sent);
        show(instruments::bytes, {direction("receive")}, &batch::counters::bytes_received);
    }

    const std::shared_ptr<pool::core> core;
    connection_pool pool;
    const std::shared_ptr<table_dialect> dialect;
    batch::shards engines;
    const std::shared_ptr<sweeper> expired;
    telemetry::observations observations; // end before what they read
    /// The store's executor, converted once: that allocates.
    const boost::asio::any_completion_executor io = core->executor();
    /// A worker may outlive the pool: what it reads is its own.
    const std::shared_ptr<const settings::resolved_config> shared_config =
        std::make_shared<const settings::resolved_config>(core->config());
};

/// `load` of an earlier version. \pre options.at
void load_at(impl& of, std::string agent_id, std::string session_id, const load_options& options,
             completion<std::optional<agent_state>> handler);

/// \pre the handle has a store
inline impl& in(const std::shared_ptr<impl>& handle) {
    assert(handle && "an operation of a postgres_store without a store");
    return *handle;
}

} // namespace pgstate::postgres

#endif
