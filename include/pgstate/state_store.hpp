#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/checkpoint.hpp"
#include "pgstate/detail/callback.hpp"
#include "pgstate/detail/default_token.hpp"
#include "pgstate/detail/store_virtuals.hpp"
#include "pgstate/error.hpp"
#include "pgstate/message_page.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/result.hpp"
#include "pgstate/transaction.hpp"

#include <chrono>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace pgstate {

/// Keeps the state of agents. `postgres_store` and `memory_store` implement it; a program depends on this.
///
/// Every operation takes a completion token as its last argument. Without one it is awaited (`default_token`), and a failure
/// is thrown; `pgstate::as_result` gives a `result<T>`, and makes no exception on the way. `redirect_error` does not compile.
///
/// \pre           the handle has a store: it was not moved from (a debug build asserts it)
/// Executor:      a completion runs on the handler's associated executor, by default the store's; never inside the call.
/// Thread safety: every operation may be started from any thread. A token that is awaited starts when it is awaited.
/// Order:         operations for one (agent, session) take effect in the order in which one store object accepted them;
///                different keys are unordered.
/// Lifetime:      arguments are copied or moved before the call returns; the store must outlive the call, not the
///                operation. With g++ 12, name a lambda that captures more than references and numbers before the
///                co_await: the compiler destroys such a temporary twice (GCC bug 99576).
/// Allocator:     the handler's associated allocator holds the waiting handler; all else uses the default allocator.
///
/// Every operation can fail with
///   invalid_argument   an argument is refused (what() names it); nothing was sent
///   timed_out          its time ran out; for a write what() says whether it had been sent
///   pool_exhausted     no connection became free in time
///   unavailable        no connection could be made in time; what() has the last cause
///   overloaded         as much is pending as config.pending allows; nothing was sent
///   closed             the store has been closed
///   operation_aborted  it was cancelled: queued: removed; sent: abandoned, the shared statement goes on
///
/// and with whatever the server refused, as its SQLSTATE. Writes can also fail with
///   outcome_unknown    the connection broke after sending, and it cannot be found out whether the write was applied: the
///                      state is gone, or somebody else has written it since, or a pooler or a dead server is between
///   schema_mismatch    the row was neither written nor found in the way: a trigger, rule or policy suppresses the write
///   corrupt_state      a trigger of the table moved the write to another key; names both
class PGSTATE_API state_store : public checkpoint_operations, public detail::store_virtuals {
public:
    ~state_store() override;

    /// Saves `state`, creating the row or replacing it; `saved::apply_to` puts the new version and times into `state`.
    ///
    /// A state that was loaded in part (`load_options::history`) is saved in part: the stored history keeps its messages, and
    /// gets those that were added to the end of the window. All else is replaced. A missing state is not created.
    ///
    /// Completion: void(std::exception_ptr, saved)
    /// Errors:     conflict - with `if_unchanged`: another writer was first; load again and retry. Nothing is changed. Of a state
    ///             loaded in part always where the stored history is longer or shorter now, or gone, or (in rows) replaced
    ///             invalid_argument - also for a text with NUL or invalid UTF-8 and a number that JSON cannot hold; of a state
    ///             loaded in part also where its key or the messages of the window were changed
    template <detail::token_for<saved> Token = default_token>
    auto save(const agent_state& state, save_options options, Token&& token = Token()) {
        // Encoded here: on the caller's thread, and before an awaited operation can outlive `state`.
        return detail::initiate<saved>(token, &state_store::do_save, this, detail::encoded_state(state),
                                       options);
    }
    /// The same with default options.
    template <detail::token_for<saved> Token = default_token>
    auto save(const agent_state& state, Token&& token = Token()) {
        return save(state, save_options{}, std::forward<Token>(token));
    }

    /// Loads a state, with all of its history or the part that `options.history` says; a missing one is no error. With `at` it
    /// is what it was at that version; a save of it replaces the present state.
    ///
    /// Completion: void(std::exception_ptr, std::optional<agent_state>)
    /// Errors:     not_found - with `at`: the state exists, but has no checkpoint of this version
    ///             schema_mismatch - with `at`: the store has no table of checkpoints (config.schema.checkpoints)
    ///             corrupt_state - the row is no agent state, or holds a number that neither 64 bits nor a double hold
    template <detail::token_for<std::optional<agent_state>> Token = default_token>
    auto load(std::string_view agent_id, std::string_view session_id, load_options options,
              Token&& token = Token()) {
        return detail::initiate<std::optional<agent_state>>(
            token, &state_store::do_load, this, std::string(agent_id), std::string(session_id), options);
    }
    /// The same with default options.
    template <detail::token_for<std::optional<agent_state>> Token = default_token>
    auto load(std::string_view agent_id, std::string_view session_id, Token&& token = Token()) {
        return load(agent_id, session_id, load_options{}, std::forward<Token>(token));
    }

    /// Erases a state; true if there was one.
    ///
    /// Completion: void(std::exception_ptr, bool)
    /// Errors:     conflict - with `if_version`: the state is there at another version. Nothing is changed
    template <detail::token_for<bool> Token = default_token>
    auto erase(std::string_view agent_id, std::string_view session_id, erase_options options,
               Token&& token = Token()) {
        return detail::initiate<bool>(token, &state_store::do_erase, this, std::string(agent_id),
                                      std::string(session_id), options);
    }
    /// The same with default options.
    template <detail::token_for<bool> Token = default_token>
    auto erase(std::string_view agent_id, std::string_view session_id, Token&& token = Token()) {
        return erase(agent_id, session_id, erase_options{}, std::forward<Token>(token));
    }

    /// Lets a state expire `ttl` from now (1 ms to max_ttl, by the database's clock), or never where that is nothing. Its
    /// version and `updated_at` stay as they are.
    /// Completion: void(std::exception_ptr, saved)
    /// Errors:     not_found - there is no such state, or it has expired
    template <detail::token_for<saved> Token = default_token>
    auto touch(std::string_view agent_id, std::string_view session_id,
               std::optional<std::chrono::milliseconds> ttl, call_options options, Token&& token = Token()) {
        return detail::initiate<saved>(token, &state_store::do_touch, this, std::string(agent_id),
                                       std::string(session_id), ttl, options);
    }
    /// The same with default options.
    template <detail::token_for<saved> Token = default_token>
    auto touch(std::string_view agent_id, std::string_view session_id,
               std::optional<std::chrono::milliseconds> ttl, Token&& token = Token()) {
        return touch(agent_id, session_id, ttl, call_options{}, std::forward<Token>(token));
    }

    /// Adds messages to the end of a state's history, without sending the state there and back: a vector, one message, or
    /// some in braces, `{{"user", "Hello!"}}`. The messages of one append stay together. A message whose id is in
    /// the history already stays out; where all do, nothing is changed and `saved::applied` is false.
    ///
    /// Completion: void(std::exception_ptr, saved)
    /// Errors:     not_found - there is no such state and `options.create` is not set
    ///             conflict - with `if_version`: another version is there. Nothing is changed
    ///             invalid_argument - also for more than max_change_bytes of JSON, and for a text with NUL
    ///             corrupt_state - `data`, `context` or `history` is of a wrong type, as another program left it
    template <detail::token_for<saved> Token = default_token>
    auto append(std::string_view agent_id, std::string_view session_id, message_list messages,
                change_options options, Token&& token = Token()) {
        return start_change(agent_id, session_id, std::move(messages).take(), options,
                            std::forward<Token>(token));
    }
    /// The same with default options.
    template <detail::token_for<saved> Token = default_token>
    auto append(std::string_view agent_id, std::string_view session_id, message_list messages,
                Token&& token = Token()) {
        return start_change(agent_id, session_id, std::move(messages).take(), {}, std::forward<Token>(token));
    }

    /// Sets and removes members of a state's `data` and `context`, without sending the state there and back. Members
    /// that the patch does not name stay, whoever changed them in the meantime.
    ///
    /// Completion: void(std::exception_ptr, saved)
    /// Errors:     as of `append`; invalid_argument - also for a name that is both set and removed
    template <detail::token_for<saved> Token = default_token>
    auto merge(std::string_view agent_id, std::string_view session_id, state_patch patch,
               change_options options, Token&& token = Token()) {
        return start_change(agent_id, session_id, std::move(patch), options, std::forward<Token>(token));
    }
    /// The same with default options.
    template <detail::token_for<saved> Token = default_token>
    auto merge(std::string_view agent_id, std::string_view session_id, state_patch patch,
               Token&& token = Token()) {
        return start_change(agent_id, session_id, std::move(patch), {}, std::forward<Token>(token));
    }

    /// Adds to a number in a state's `data` or `context`; one that is missing counts as 0.
    ///
    /// \param pointer  where it is, as a JSON pointer (RFC 6901) that begins with "/data/" or "/context/". Objects on
    ///                 the way must be there already, unless the state is created
    /// \param by       an integer, or a float or double: see increment_number. If both numbers are integers, the result
    ///                 must fit into 64 bits; else they are added as doubles, and the result is a double
    /// Completion: void(std::exception_ptr, saved)
    /// Errors:     as of `append`; invalid_argument - also where there is something else than a number, the result does
    ///             not fit, or an object on the way is missing. Nothing is changed
    template <increment_number Number, detail::token_for<saved> Token = default_token>
    auto increment(std::string_view agent_id, std::string_view session_id, std::string_view pointer,
                   Number by, change_options options, Token&& token = Token()) {
        return start_change(agent_id, session_id, detail::increment{std::string(pointer), by}, options,
                            std::forward<Token>(token));
    }
    /// The same with default options.
    template <increment_number Number, detail::token_for<saved> Token = default_token>
    auto increment(std::string_view agent_id, std::string_view session_id, std::string_view pointer,
                   Number by, Token&& token = Token()) {
        return increment(agent_id, session_id, pointer, by, change_options{}, std::forward<Token>(token));
    }

    /// Lists the sessions of an agent, a page at a time, most recently updated first.
    ///
    /// Completion: void(std::exception_ptr, session_page)
    /// Errors:     invalid_argument - also for a limit out of range and a cursor from another agent or altered
    template <detail::token_for<session_page> Token = default_token>
    auto list(std::string_view agent_id, list_options options, Token&& token = Token()) {
        return detail::initiate<session_page>(token, &state_store::do_list, this, std::string(agent_id),
                                              std::move(options));
    }
    /// The same with default options.
    template <detail::token_for<session_page> Token = default_token>
    auto list(std::string_view agent_id, Token&& token = Token()) {
        return list(agent_id, list_options{}, std::forward<Token>(token));
    }

    /// Lists the agents that have sessions, a page at a time. A page costs the server as much as reading the sessions of
    /// the agents on it.
    ///
    /// Completion: void(std::exception_ptr, agent_page)
    /// Errors:     invalid_argument - also for a limit out of range and a cursor from another query or altered
    template <detail::token_for<agent_page> Token = default_token>
    auto list_agents(list_agents_options options, Token&& token = Token()) {
        return detail::initiate<agent_page>(token, &state_store::do_list_agents, this, std::move(options));
    }
    /// The same with default options.
    template <detail::token_for<agent_page> Token = default_token>
    auto list_agents(Token&& token = Token()) {
        return list_agents(list_agents_options{}, std::forward<Token>(token));
    }

    /// Finds states by what is in them and by their times, a page at a time. Pages neither skip nor repeat a state that
    /// is not written meanwhile; one that is may move to another page, as its times do.
    ///
    /// A search by `contains` or `jsonpath` reads every document that the rest of the query leaves, unless there is an
    /// index for it: `config.schema.jsonb_index` makes one for `contains`, and for a jsonpath that asks for equality.
    ///
    /// Completion: void(std::exception_ptr, state_page)
    /// Errors:     invalid_argument - also for a jsonpath that the server refuses (with its SQLSTATE and message), any
    ///             jsonpath on a memory_store, an interval that ends before it begins, a limit out of range, and a
    ///             cursor from another query or altered
    ///             corrupt_state - as of `load`, of one of those found
    template <detail::token_for<state_page> Token = default_token>
    auto find(state_query query, find_options options, Token&& token = Token()) {
        return detail::initiate<state_page>(token, &state_store::do_find, this, std::move(query),
                                            std::move(options));
    }
    /// The same with default options.
    template <detail::token_for<state_page> Token = default_token>
    auto find(state_query query, Token&& token = Token()) {
        return find(std::move(query), find_options{}, std::forward<Token>(token));
    }

    /// Reads the history of a state, a page at a time, from its end backwards or from a message on; a missing state is no
    /// error. Pages neither skip nor repeat a message while messages are only added.
    ///
    /// Completion: void(std::exception_ptr, std::optional<message_page>)
    /// Errors:     as of `load`; invalid_argument - also for a limit out of range, and for both `from` and `before`
    template <detail::token_for<std::optional<message_page>> Token = default_token>
    auto messages(std::string_view agent_id, std::string_view session_id, messages_options options,
                  Token&& token = Token()) {
        return detail::initiate<std::optional<message_page>>(
            token, &state_store::start_messages, this,
            state_key(std::string(agent_id), std::string(session_id)), options);
    }
    /// The same with default options: the end of the history.
    template <detail::token_for<std::optional<message_page>> Token = default_token>
    auto messages(std::string_view agent_id, std::string_view session_id, Token&& token = Token()) {
        return messages(agent_id, session_id, messages_options{}, std::forward<Token>(token));
    }

    /// Counts all states that have not expired, exactly, which reads the whole table, or by estimate.
    ///
    /// Completion: void(std::exception_ptr, std::int64_t)
    template <detail::token_for<std::int64_t> Token = default_token>
    auto count(Token&& token = Token()) {
        return count(count_options{}, std::forward<Token>(token));
    }
    /// The same, by estimate where `options` ask for it.
    template <detail::token_for<std::int64_t> Token = default_token>
    auto count(count_options options, Token&& token = Token()) {
        return detail::initiate<std::int64_t>(token, &state_store::do_count, this,
                                              std::optional<std::string>(), options);
    }

    /// Counts the sessions of one agent, exactly or by estimate.
    ///
    /// Completion: void(std::exception_ptr, std::int64_t)
    template <detail::token_for<std::int64_t> Token = default_token>
    auto count(std::string_view agent_id, count_options options, Token&& token = Token()) {
        return detail::initiate<std::int64_t>(token, &state_store::do_count, this,
                                              std::optional<std::string>(agent_id), options);
    }
    /// The same with default options.
    template <detail::token_for<std::int64_t> Token = default_token>
    auto count(std::string_view agent_id, Token&& token = Token()) {
        return count(agent_id, count_options{}, std::forward<Token>(token));
    }

    /// One round trip to the server, and the state of the pool. Succeeds on a read-only server; look at `read_only`.
    ///
    /// Completion: void(std::exception_ptr, health_report)
    template <detail::token_for<health_report> Token = default_token>
    auto health_check(call_options options, Token&& token = Token()) {
        return detail::initiate<health_report>(token, &state_store::do_health_check, this, options);
    }
    /// The same with default options.
    template <detail::token_for<health_report> Token = default_token>
    auto health_check(Token&& token = Token()) {
        return health_check(call_options{}, std::forward<Token>(token));
    }

    /// Calls `function(transaction&)` on a worker thread and commits what it did; its result is the operation's value.
    /// After a serialization failure or a deadlock everything is rolled back and `function` is called again: it must
    /// have no side effects outside the transaction.
    ///
    /// Completion:   void(std::exception_ptr, T), or void(std::exception_ptr) where `function` returns void
    /// Errors:       callback_failed - `function` threw something that is no pgstate or SQL error; rolled back
    ///               outcome_unknown - the connection broke during the commit
    /// Cancellation: waiting: removed; running: abandoned and rolled back, unless its commit was already sent
    /// Lifetime:     `function` is moved into the store
    template <std::invocable<transaction&> Function,
              detail::token_for<std::invoke_result_t<Function, transaction&>> Token = default_token>
    auto transaction(Function function, transaction_options options, Token&& token = Token()) {
        return detail::initiate_with<class transaction&>(token, &state_store::do_transaction, this,
                                                         std::move(function), options);
    }
    /// The same with default options.
    template <std::invocable<class transaction&> Function,
              detail::token_for<std::invoke_result_t<Function, class transaction&>> Token = default_token>
    auto transaction(Function function, Token&& token = Token()) {
        return transaction(std::move(function), transaction_options{}, std::forward<Token>(token));
    }

    /// Loads a state, calls `change(agent_state&)`, and saves what it made of it if nobody else saved meanwhile. After a
    /// conflict it begins again: `change` must have no side effects. `change` returns void, or a bool: false leaves the
    /// state as it is, and the value is the version that was loaded. It may not change the key.
    ///
    /// Completion:   void(std::exception_ptr, saved)
    /// Errors:       not_found - there is no state, and `options.create` is false
    ///               conflict - others were first each time, `options.max_retries` times after the first
    ///               callback_failed - `change` threw something that is no pgstate or SQL error; nothing is saved
    ///               closed - also when the store is closed or destroyed between a load and a save
    /// Executor:     `change` runs where the handler does, and never inside the call
    /// Cancellation: of the load, the save or the pause that is under way
    /// Lifetime:     `change` is moved into the operation
    template <detail::state_function Change, detail::token_for<saved> Token = default_token>
    auto update(std::string_view agent_id, std::string_view session_id, Change change, update_options options,
                Token&& token = Token()) {
        return detail::initiate<saved>(token, &state_store::start_update, this,
                                       state_key(std::string(agent_id), std::string(session_id)),
                                       detail::bind_change(std::move(change)), options);
    }
    /// The same with default options.
    template <detail::state_function Change, detail::token_for<saved> Token = default_token>
    auto update(std::string_view agent_id, std::string_view session_id, Change change,
                Token&& token = Token()) {
        return update(agent_id, session_id, std::move(change), update_options{}, std::forward<Token>(token));
    }

    /// Loads many states: as many calls of `load` at once, which share statements. The value has one for each key, in
    /// the order of `keys` (any range of `state_key`, in which a key may stand twice), empty where there is none.
    ///
    /// Completion:   void(std::exception_ptr, std::vector<std::optional<agent_state>>)
    /// Errors:       those of `load`: of the first key, in their order, that failed; what() names its position. A key
    ///               that is refused is found before anything is sent
    /// Cancellation: of those that are still under way; the call fails
    template <detail::range_of<state_key> Keys, detail::token_for<detail::load_results> Token = default_token>
    auto load_all(Keys&& keys, load_options options, Token&& token = Token()) {
        return detail::initiate<detail::load_results>(token, &state_store::start_load_all, this,
                                                      detail::copies<state_key>(std::forward<Keys>(keys)),
                                                      options);
    }
    /// The same with default options.
    template <detail::range_of<state_key> Keys, detail::token_for<detail::load_results> Token = default_token>
    auto load_all(Keys&& keys, Token&& token = Token()) {
        return load_all(std::forward<Keys>(keys), load_options{}, std::forward<Token>(token));
    }

    /// Erases many states, as `load_all` loads them; the value says how many there were.
    ///
    /// Completion:   void(std::exception_ptr, std::int64_t)
    /// Errors:       those of `erase`, as in `load_all`; the states of other keys may have been erased
    ///               invalid_argument - also for `if_version`, which is the version of one state
    /// Cancellation: of those that are still under way; the call fails, and others may have been erased
    template <detail::range_of<state_key> Keys, detail::token_for<std::int64_t> Token = default_token>
    auto erase_all(Keys&& keys, erase_options options, Token&& token = Token()) {
        return detail::initiate<std::int64_t>(token, &state_store::start_erase_all, this,
                                              detail::copies<state_key>(std::forward<Keys>(keys)), options);
    }
    /// The same with default options.
    template <detail::range_of<state_key> Keys, detail::token_for<std::int64_t> Token = default_token>
    auto erase_all(Keys&& keys, Token&& token = Token()) {
        return erase_all(std::forward<Keys>(keys), erase_options{}, std::forward<Token>(token));
    }

    /// Saves many states (any range of `agent_state`). The value has one result for each, in their order.
    ///
    /// As it is, these are as many calls of `save` at once, which share statements, each with its own outcome: the call
    /// succeeds where some of them fail. A state may stand there twice; the later one is saved later.
    ///
    /// With `options.atomic`, all are saved in one transaction: the call succeeds, and each result with it, or fails and
    /// nothing is changed; what() names the position of the state that is to blame. States are locked in the order of
    /// their keys, so that two such calls do not deadlock.
    ///
    /// Completion:   void(std::exception_ptr, std::vector<result<saved>>)
    /// Errors:       with `atomic`, those of `save` and of `transaction`, and
    ///               invalid_argument - two states have the same key; what() names both positions
    /// Cancellation: of those that are still under way; the call fails, and without `atomic` others may have been saved
    template <detail::range_of<const agent_state&> States,
              detail::token_for<detail::save_results> Token = default_token>
    auto save_all(States&& states, save_all_options options, Token&& token = Token()) {
        return detail::initiate<detail::save_results>(
            token, &state_store::start_save_all, this,
            detail::copies<detail::encoded_state>(std::forward<States>(states)), options);
    }
    /// The same with default options.
    template <detail::range_of<const agent_state&> States,
              detail::token_for<detail::save_results> Token = default_token>
    auto save_all(States&& states, Token&& token = Token()) {
        return save_all(std::forward<States>(states), save_all_options{}, std::forward<Token>(token));
    }

    /// Refuses new operations, transactions and functions that want a connection; lets those accepted finish (each within
    /// its own time-out), and closes every connection, as connection_pool::close does. Closing twice is no error.
    ///
    /// Completion:   void(std::exception_ptr)
    /// Cancellation: the wait is given up; the store stays closed
    template <detail::token_for<void> Token = default_token>
    auto close(Token&& token = Token()) {
        return detail::initiate<void>(token, &state_store::do_close, this);
    }

protected:
    state_store() = default;
    state_store(state_store&&) = default;
    state_store& operator=(state_store&&) = default;

private:
    friend class compose::access;

    template <class Token>
    auto start_change(std::string_view agent_id, std::string_view session_id, detail::state_change change,
                      change_options options, Token&& token) {
        return detail::initiate<saved>(token, &state_store::do_change, this, std::string(agent_id),
                                       std::string(session_id), std::move(change), options);
    }

    // Made of the operations below.
    void start_update(state_key, detail::bound_change, update_options, completion<saved>);
    void start_messages(state_key, messages_options, completion<std::optional<message_page>>);
    void start_load_all(std::vector<state_key>, load_options, completion<detail::load_results>);
    void start_erase_all(std::vector<state_key>, erase_options, completion<std::int64_t>);
    void start_save_all(std::vector<detail::encoded_state>, save_all_options,
                        completion<detail::save_results>);
};

} // namespace pgstate
