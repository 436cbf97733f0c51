#pragma once

#include "pgstate/config.hpp"
#include "pgstate/connection_pool.hpp"
#include "pgstate/state_store.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pgstate {

namespace postgres {
class impl;
}

/// What a store has done since it was opened, as a snapshot: counters, which only grow, and numbers of the moment.
/// `transaction` is not in it; the sweeper's operations are.
struct store_stats {
    std::uint64_t operations = 0;      ///< accepted
    std::uint64_t statements = 0;      ///< sent to the server for them, repeats included
    std::uint64_t operations_sent = 0; ///< in these statements; one that is sent again counts again
    std::uint64_t retries = 0;         ///< operations that were sent again, or are to be
    std::uint64_t conflicts = 0;       ///< conditional writes that found another version
    std::uint64_t bytes_sent = 0;      ///< of parameters: keys and documents
    std::uint64_t bytes_received = 0;  ///< of values
    std::uint64_t swept = 0;           ///< states that the sweeper deleted (config.sweep)
    std::size_t queued = 0;            ///< operations accepted and not yet sent; of the moment
    std::size_t pending = 0;       ///< operations accepted and not completed (config.pending); of the moment
    std::size_t pending_bytes = 0; ///< of their keys and documents
    /// States that have expired and that the sweeper could not delete when it last tried, as a foreign key or a trigger of
    /// the table protects their rows; of the moment.
    std::uint64_t protected_states = 0;

    /// How many operations shared a statement, on average; 0 before the first.
    double mean_batch() const noexcept {
        return statements == 0 ? 0 : static_cast<double>(operations_sent) / static_cast<double>(statements);
    }
};

/// The configured table compared with what the settings ask for.
struct schema_report {
    bool exists = false;                 ///< there is such a table, or something else of its name
    std::vector<std::string> refusals;   ///< what a migration would not touch: what is, and what should be
    std::vector<std::string> missing;    ///< what it would bring, in words
    std::vector<std::string> statements; ///< what it would run, in one transaction

    /// Whether a migration would change nothing.
    bool current() const noexcept { return refusals.empty() && statements.empty(); }
};

/// The state store on PostgreSQL.
///
/// A movable handle. One that was default-constructed or moved from has no store: it can only be assigned to or destroyed.
/// Destructor: does not block and does not wait. Operations still queued complete with errc::closed; those sent are
///             abandoned and complete likewise, writes with errc::outcome_unknown. Call `close()` first to let them finish,
///             and always before the process ends: a thread that still connects then can crash in OpenSSL's cleanup.
class PGSTATE_API postgres_store final : public state_store {
public:
    /// Connects, pings and brings the schema up to date as `settings.schema.migrate` says.
    ///
    /// Completion: void(std::exception_ptr, postgres_store)
    /// Errors:     invalid_argument - a setting is refused; names it
    ///             unavailable - the first connection could not be made; carries the cause (and the SQLSTATE, if any)
    ///             schema_mismatch - the table exists in another shape; names what differs, and nothing was changed
    ///             SQLSTATE 42501 - the role may not create or alter the table
    /// Cancellation: given up; nothing is left half migrated
    template <detail::token_for<postgres_store> Token = default_token>
    static auto open(boost::asio::any_io_executor executor, const config& settings, Token&& token = Token()) {
        // Behind a pointer: Asio keeps the arguments of an awaited initiation in a coroutine's frame.
        return detail::initiate<postgres_store>(token, &postgres_store::start_open, std::move(executor),
                                                std::make_shared<const config>(settings));
    }

    /// A handle without a store, to be assigned to.
    postgres_store() noexcept;
    postgres_store(postgres_store&&) noexcept;
    postgres_store& operator=(postgres_store&&) noexcept;
    ~postgres_store() override;

    /// The pool that the store runs on. Valid while this handle, or one moved from it, lives.
    connection_pool& pool() noexcept;

    /// Thread safety: any thread.
    store_stats stats() const noexcept;

    /// The statements that bring an empty database to the schema that `settings` asks for, one per line group, for
    /// those who apply it themselves. They may be run more than once.
    /// \throws error invalid_argument - `settings.table_name` is refused
    static std::string schema_sql(const config& settings);

    /// Compares the table with what `settings` asks for and changes nothing, whatever `schema.migrate` says. Blocks: for
    /// functions of `with_connection`.
    /// \pre no transaction is open on `connection`
    /// \throws error SQLSTATE 3F000 - the table's schema does not exist
    ///               SQLSTATE 42501 - the role may not use it
    ///               invalid_argument, unavailable - as of `open`
    static schema_report inspect_schema(pqxx::connection& connection, const config& settings);

    /// The table's name as SQL of your own must write it: quoted, with its schema where `settings.table_name` has one.
    /// \throws error invalid_argument - `settings.table_name` is refused
    static std::string quoted_table(const config& settings);

    /// The same for the table that `settings.schema.checkpoints` makes.
    static std::string quoted_checkpoints_table(const config& settings);

    /// The same for the table of messages, which `settings.schema.history` = rows makes.
    static std::string quoted_messages_table(const config& settings);

private:
    static void start_open(boost::asio::any_io_executor executor,
                           const std::shared_ptr<const config>& settings, completion<postgres_store> handler);

    explicit postgres_store(std::shared_ptr<postgres::impl> impl) noexcept;

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

    std::shared_ptr<postgres::impl> impl_;
};

} // namespace pgstate
