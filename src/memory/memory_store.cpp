#include "pgstate/memory_store.hpp"

#include "codec/change.hpp"
#include "codec/codec.hpp"
#include "codec/cursor.hpp"
#include "codec/history.hpp"
#include "codec/validate.hpp"
#include "detail/callback_failure.hpp"
#include "detail/complete.hpp"
#include "memory/table.hpp"
#include "memory/transaction.hpp"
#include "pgstate/error.hpp"
#include "telemetry/names.hpp"

#include <boost/asio/post.hpp>

#include <cassert>
#include <chrono>
#include <cstddef>
#include <exception>
#include <mutex>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate {
namespace memory {

/// What the handle shares with the transactions that are under way.
class impl {
public:
    impl(boost::asio::any_io_executor executor, std::function<timestamp()> now,
         std::chrono::milliseconds default_ttl, history_config history)
        : executor_(std::move(executor)), table_(std::move(now), default_ttl, history) {}

    const boost::asio::any_io_executor& executor() const noexcept { return executor_; }

    /// Calls `use(table)` under the lock.
    template <class Use>
    auto with_table(std::string_view operation, Use use) {
        const std::lock_guard lock(mutex_);
        if (closed_) throw error(errc::closed, operation);
        return use(table_);
    }

    /// `close` waits while what this returns lives.
    std::shared_ptr<void> begin_transaction(const std::shared_ptr<impl>& self) {
        {
            const std::lock_guard lock(mutex_);
            if (closed_) throw error(errc::closed, "transaction");
            ++running_;
        }
        return {nullptr, [self](void*) { self->end_transaction(); }};
    }

    void run_transaction(const std::function<void(transaction&)>& function, int max_retries) {
        for (int attempt = 0; attempt <= max_retries; ++attempt) {
            memory_transaction tx(table_, mutex_);
            try {
                function(tx);
            } catch (...) {
                throw detail::callback_failure("transaction");
            }
            if (tx.commit()) return;
        }
        throw error::from_server(
            "40001", "transaction",
            "other writers changed the same states each time; retry, or raise max_retries");
    }

    void close(completion<void> handler) {
        {
            const std::lock_guard lock(mutex_);
            closed_ = true;
            if (running_ != 0) {
                detail::completion_work work(handler, executor_);
                closing_.push_back({std::move(handler), std::move(work)});
                return;
            }
        }
        detail::post_completion(executor_, std::move(handler), result<void>());
    }

private:
    struct closing {
        completion<void> handler;
        detail::completion_work work;
    };

    void end_transaction() {
        std::vector<closing> done;
        {
            const std::lock_guard lock(mutex_);
            if (--running_ == 0) done.swap(closing_);
        }
        for (auto& c : done)
            detail::post_completion(executor_, std::move(c.handler), result<void>());
    }

    const boost::asio::any_io_executor executor_;
    std::mutex mutex_;
    table table_;
    bool closed_ = false;
    std::size_t running_ = 0;      ///< transactions
    std::vector<closing> closing_; ///< who waits for that to be none
};

namespace {

/// \pre the handle has a store
impl& in(const std::shared_ptr<impl>& handle) {
    assert(handle && "an operation of a memory_store that was moved from");
    return *handle;
}

/// Takes effect now, in the order of the calls, and completes later. A memory_store's operations cannot be cancelled:
/// they are done before anyone could. \param operation  gives a `result<T>`; throws errors about arguments
template <class T, class Operation>
void perform(const std::shared_ptr<impl>& impl, completion<T> handler, Operation operation) {
    const auto& executor = in(impl).executor();
    result<T> outcome = [&]() -> result<T> {
        try {
            return operation();
        } catch (...) {
            return to_error(std::current_exception());
        }
    }();
    detail::post_completion(executor, std::move(handler), std::move(outcome));
}

timestamp system_now() {
    return std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now());
}

} // namespace
} // namespace memory

memory_store::memory_store(boost::asio::any_io_executor executor, std::function<timestamp()> now,
                           std::chrono::milliseconds default_ttl, history_config history)
    : impl_(std::make_shared<memory::impl>(std::move(executor), now ? std::move(now) : memory::system_now,
                                           default_ttl, history)) {}

memory_store::memory_store(std::shared_ptr<memory::impl> impl) noexcept : impl_(std::move(impl)) {}
memory_store::memory_store(memory_store&&) noexcept = default;
memory_store& memory_store::operator=(memory_store&&) noexcept = default;
memory_store::~memory_store() = default;

void memory_store::do_save(detail::encoded_state state, save_options options, completion<saved> handler) {
    memory::perform<saved>(impl_, std::move(handler), [&]() -> result<saved> {
        if (state.failure) return *state.failure;
        codec::validate_timeout(options.timeout, "save");
        codec::validate_ttl(options.ttl, "save");
        const memory::table::key key(std::move(state.agent_id), std::move(state.session_id));
        return impl_->with_table("save", [&](memory::table& table) -> result<saved> {
            auto row = table.next_row(table.find(key), state, options);
            if (!row) return row.error();
            saved made = row->as_saved();
            made.mark = state.mark;
            table.put_saved(key, *std::move(row));
            return made;
        });
    });
}

void memory_store::do_load(std::string agent_id, std::string session_id, load_options options,
                           completion<std::optional<agent_state>> handler) {
    memory::perform<std::optional<agent_state>>(
        impl_, std::move(handler), [&]() -> result<std::optional<agent_state>> {
            codec::validate_key(agent_id, session_id, "load");
            codec::validate_timeout(options.timeout, "load");
            codec::validate_load(options);
            const auto found = impl_->with_table(
                "load", [&](memory::table& table) -> result<std::optional<memory::memory_row>> {
                    const memory::table::key key(agent_id, session_id);
                    if (options.at) return table.at(key, *options.at, "load");
                    const auto* present = table.find(key);
                    return present ? std::optional(*present) : std::nullopt;
                });
            if (!found) return found.error();
            const auto& row = *found;
            // Decoded outside the lock.
            if (!row) return std::nullopt;
            auto state = codec::decode(agent_id, session_id, row->document, row->version, row->created_at,
                                       row->updated_at, row->expires_at);
            codec::cut(state, options.history);
            return state;
        });
}

void memory_store::do_erase(std::string agent_id, std::string session_id, erase_options options,
                            completion<bool> handler) {
    memory::perform<bool>(impl_, std::move(handler), [&]() -> result<bool> {
        codec::validate_key(agent_id, session_id, "erase");
        codec::validate_timeout(options.timeout, "erase");
        return impl_->with_table("erase", [&](memory::table& table) -> result<bool> {
            const memory::table::key key(agent_id, session_id);
            const auto* current = table.find(key);
            if (current && options.if_version && *options.if_version != current->version)
                return codec::conflict("erase", *options.if_version, current->version);
            return table.erase(key);
        });
    });
}

void memory_store::do_touch(std::string agent_id, std::string session_id,
                            std::optional<std::chrono::milliseconds> ttl, call_options options,
                            completion<saved> handler) {
    memory::perform<saved>(impl_, std::move(handler), [&]() -> result<saved> {
        codec::validate_timeout(options.timeout, "touch");
        codec::validate_key(agent_id, session_id, "touch");
        codec::validate_ttl(ttl, "touch");
        return impl_->with_table("touch", [&](memory::table& table) {
            return table.touch({agent_id, session_id}, ttl);
        });
    });
}

void memory_store::do_change(std::string agent_id, std::string session_id, detail::state_change change,
                             change_options options, completion<saved> handler) {
    const auto name = telemetry::name_of(codec::operation_of(change));
    memory::perform<saved>(impl_, std::move(handler), [&]() -> result<saved> {
        codec::validate_timeout(options.timeout, name);
        codec::validate_key(agent_id, session_id, name);
        codec::validate_change(options, name);
        codec::encode_change(change, agent_id, session_id, false); // refuses what PostgreSQL would
        return impl_->with_table(name, [&](memory::table& table) {
            return table.change({agent_id, session_id}, change, options);
        });
    });
}

void memory_store::do_list(std::string agent_id, list_options options, completion<session_page> handler) {
    memory::perform<session_page>(impl_, std::move(handler), [&]() -> result<session_page> {
        codec::validate_agent(agent_id, "list");
        codec::validate_list(options);
        return impl_->with_table("list", [&](memory::table& table) { return table.list(agent_id, options); });
    });
}

void memory_store::do_list_agents(list_agents_options options, completion<agent_page> handler) {
    memory::perform<agent_page>(impl_, std::move(handler), [&]() -> result<agent_page> {
        codec::validate_list_agents(options);
        return impl_->with_table("list_agents",
                                 [&](memory::table& table) { return table.list_agents(options); });
    });
}

void memory_store::do_find(state_query query, find_options options, completion<state_page> handler) {
    memory::perform<state_page>(impl_, std::move(handler), [&]() -> result<state_page> {
        const auto encoded = codec::encode_query(query, options);
        return impl_->with_table("find", [&](memory::table& table) { return table.search(encoded); });
    });
}

void memory_store::do_count(std::optional<std::string> agent_id, count_options options,
                            completion<std::int64_t> handler) {
    memory::perform<std::int64_t>(impl_, std::move(handler), [&]() -> result<std::int64_t> {
        if (agent_id) codec::validate_agent(*agent_id, "count");
        codec::validate_timeout(options.timeout, "count");
        return impl_->with_table("count", [&](memory::table& table) { return table.count(agent_id); });
    });
}

void memory_store::do_health_check(call_options options, completion<health_report> handler) {
    memory::perform<health_report>(impl_, std::move(handler), [&]() -> result<health_report> {
        codec::validate_timeout(options.timeout, "health_check");
        return impl_->with_table("health_check", [](memory::table&) { return health_report{}; });
    });
}

void memory_store::do_checkpoint(std::string agent_id, std::string session_id, std::string label,
                                 call_options options, completion<checkpoint_info> handler) {
    memory::perform<checkpoint_info>(impl_, std::move(handler), [&]() -> result<checkpoint_info> {
        codec::validate_key(agent_id, session_id, "checkpoint");
        codec::validate_timeout(options.timeout, "checkpoint");
        codec::validate_label(label);
        return impl_->with_table("checkpoint", [&](memory::table& table) {
            return table.checkpoint({agent_id, session_id}, std::move(label));
        });
    });
}

void memory_store::do_checkpoints(std::string agent_id, std::string session_id, list_options options,
                                  completion<checkpoint_page> handler) {
    memory::perform<checkpoint_page>(impl_, std::move(handler), [&]() -> result<checkpoint_page> {
        codec::validate_key(agent_id, session_id, "checkpoints");
        codec::validate_checkpoints(options);
        std::optional<std::int64_t> before;
        if (!options.after.empty()) before = codec::checkpoint_of_cursor(agent_id, session_id, options.after);
        return impl_->with_table("checkpoints", [&](memory::table& table) {
            return table.checkpoints({agent_id, session_id}, options.limit, before);
        });
    });
}

void memory_store::do_restore(std::string agent_id, std::string session_id, std::int64_t version,
                              restore_options options, completion<saved> handler) {
    memory::perform<saved>(impl_, std::move(handler), [&]() -> result<saved> {
        codec::validate_key(agent_id, session_id, "restore");
        codec::validate_timeout(options.timeout, "restore");
        codec::validate_ttl(options.ttl, "restore");
        return impl_->with_table("restore", [&](memory::table& table) {
            return table.restore({agent_id, session_id}, version, options);
        });
    });
}

void memory_store::do_fork(std::string agent_id, std::string session_id, std::string new_session_id,
                           fork_options options, completion<saved> handler) {
    memory::perform<saved>(impl_, std::move(handler), [&]() -> result<saved> {
        codec::validate_key(agent_id, session_id, "fork");
        codec::validate_new_session(agent_id, new_session_id, "fork");
        codec::validate_timeout(options.timeout, "fork");
        codec::validate_ttl(options.ttl, "fork");
        return impl_->with_table("fork", [&](memory::table& table) {
            return table.fork({agent_id, session_id}, new_session_id, options);
        });
    });
}

void memory_store::do_prune(std::string agent_id, std::string session_id, prune_options options,
                            completion<std::int64_t> handler) {
    memory::perform<std::int64_t>(impl_, std::move(handler), [&]() -> result<std::int64_t> {
        codec::validate_key(agent_id, session_id, "prune");
        codec::validate_timeout(options.timeout, "prune");
        codec::validate_prune(options);
        return impl_->with_table("prune", [&](memory::table& table) {
            return table.prune({agent_id, session_id}, options);
        });
    });
}

void memory_store::do_transaction(std::function<void(class transaction&)> function,
                                  transaction_options options, completion<void> handler) {
    const auto& executor = memory::in(impl_).executor();
    std::shared_ptr<void> running;
    try {
        codec::validate_transaction(options);
        running = impl_->begin_transaction(impl_);
    } catch (const error& e) {
        return detail::post_completion(executor, std::move(handler), result<void>(e));
    }
    // Posted: the function is the user's, and must not run inside the call that passed it.
    detail::completion_work work(handler, executor);
    boost::asio::post(executor, [impl = impl_, function = std::move(function), retries = options.max_retries,
                                 running = std::move(running), work = std::move(work),
                                 handler = std::move(handler)]() mutable {
        result<void> outcome;
        try {
            impl->run_transaction(function, retries);
        } catch (...) {
            outcome = to_error(std::current_exception());
        }
        function = nullptr; // what it captured must not outlive the operation
        detail::post_completion(impl->executor(), std::move(handler), std::move(outcome));
    });
}

detail::store_reference memory_store::do_refer() const {
    return {memory::in(impl_).executor(), [weak = std::weak_ptr(impl_)]() -> std::unique_ptr<state_store> {
                auto impl = weak.lock();
                if (!impl) return nullptr;
                return std::unique_ptr<state_store>(new memory_store(std::move(impl)));
            }};
}

void memory_store::do_close(completion<void> handler) {
    memory::in(impl_).close(std::move(handler));
}

} // namespace pgstate
