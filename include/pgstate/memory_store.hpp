#pragma once

#include "pgstate/config.hpp"
#include "pgstate/state_store.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>

namespace pgstate {

namespace memory {
class impl;
}

/// A state store in memory, with the semantics of `postgres_store`, for the unit tests of programs that keep state.
/// Its contents end with it; expired states are dropped a few at a time, as others are saved. A handle that was moved from can
/// only be assigned to or destroyed. `transaction::sql()` and `state_query::jsonpath` are refused; everything else behaves
/// as on PostgreSQL, refusals of arguments included.
class PGSTATE_API memory_store final : public state_store {
public:
    /// \param now  where times come from; by default the system's clock. Called from any thread.
    /// \param default_ttl  as config::default_ttl
    /// \param history      as config::history; of a state that a transaction saves several times, the last save counts
    explicit memory_store(boost::asio::any_io_executor executor, std::function<timestamp()> now = {},
                          std::chrono::milliseconds default_ttl = std::chrono::milliseconds(0),
                          history_config history = {});
    memory_store(memory_store&&) noexcept;
    memory_store& operator=(memory_store&&) noexcept;
    ~memory_store() override;

private:
    explicit memory_store(std::shared_ptr<memory::impl> impl) noexcept;

    void do_save(detail::encoded_state, save_options, completion<saved>) override;
    void do_load(std::string, std::string, load_options, completion<std::optional<agent_state>>) override;
    void do_erase(std::string, std::string, erase_options, completion<bool>) override;
    void do_touch(std::string agent_id, std::string session_id, std::optional<std::chrono::milliseconds> ttl,
                  call_options options, completion<saved> handler) override;
    void do_change(std::string agent_id, std::string session_id, detail::state_change change,
                   change_options options, completion<saved> handler) override;
    void do_list(std::string, list_options, completion<session_page>) override;
    void do_list_agents(list_agents_options options, completion<agent_page> handler) override;
    void do_find(state_query query, find_options options, completion<state_page> handler) override;
    void do_count(std::optional<std::string>, count_options, completion<std::int64_t>) override;
    void do_health_check(call_options, completion<health_report>) override;
    void do_transaction(std::function<void(class transaction&)>, transaction_options,
                        completion<void>) override;
    void do_checkpoint(std::string, std::string, std::string label, call_options,
                       completion<checkpoint_info>) override;
    void do_checkpoints(std::string, std::string, list_options, completion<checkpoint_page>) override;
    void do_restore(std::string agent_id, std::string session_id, std::int64_t version,
                    restore_options options, completion<saved> handler) override;
    void do_fork(std::string agent_id, std::string session_id, std::string new_session_id,
                 fork_options options, completion<saved> handler) override;
    void do_prune(std::string, std::string, prune_options, completion<std::int64_t>) override;
    void do_close(completion<void>) override;
    detail::store_reference do_refer() const override;

    std::shared_ptr<memory::impl> impl_;
};

} // namespace pgstate
