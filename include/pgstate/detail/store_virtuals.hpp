#pragma once

#include "pgstate/detail/completion.hpp"
#include "pgstate/detail/composed.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/detail/export.hpp"
#include "pgstate/detail/state_change.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/transaction.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace pgstate::detail {

/// What every store implements; `state_store` gives it to users, with their completion tokens.
class PGSTATE_API store_virtuals {
public:
    virtual ~store_virtuals();

protected:
    store_virtuals() = default;
    store_virtuals(store_virtuals&&) = default;
    store_virtuals& operator=(store_virtuals&&) = default;

    virtual void do_save(encoded_state, save_options, completion<saved>) = 0;
    virtual void do_load(std::string agent_id, std::string session_id, load_options,
                         completion<std::optional<agent_state>>) = 0;
    virtual void do_erase(std::string agent_id, std::string session_id, erase_options, completion<bool>) = 0;
    virtual void do_touch(std::string agent_id, std::string session_id,
                          std::optional<std::chrono::milliseconds> ttl, call_options, completion<saved>) = 0;
    virtual void do_change(std::string agent_id, std::string session_id, state_change, change_options,
                           completion<saved>) = 0;
    virtual void do_list(std::string agent_id, list_options, completion<session_page>) = 0;
    virtual void do_list_agents(list_agents_options, completion<agent_page>) = 0;
    virtual void do_find(state_query, find_options, completion<state_page>) = 0;
    virtual void do_count(std::optional<std::string> agent_id, count_options, completion<std::int64_t>) = 0;
    virtual void do_health_check(call_options, completion<health_report>) = 0;
    virtual void do_transaction(std::function<void(transaction&)>, transaction_options, completion<void>) = 0;
    virtual void do_close(completion<void>) = 0;
    virtual store_reference do_refer() const = 0;
};

} // namespace pgstate::detail
