#include "postgres/transaction.hpp"

#include "codec/change.hpp"
#include "codec/codec.hpp"
#include "codec/history.hpp"
#include "codec/validate.hpp"
#include "pgstate/detail/encoded_state.hpp"
#include "pgstate/error.hpp"
#include "pool/policy.hpp"
#include "pool/sql_error.hpp"
#include "postgres/operations/written_row.hpp"
#include "sql/history_sql.hpp"
#include "sql/pqxx_compat.hpp"
#include "sql/session_settings.hpp"
#include "sql/table_sql.hpp"
#include "wire/rows.hpp"

#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/transaction>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>

namespace pgstate::postgres {
namespace {

constexpr auto transaction_name = "transaction";

/// As the server counts it, in SQL: no arithmetic has room for `infinity`.
std::string server_time_of(std::string_view column) {
    return std::string("('x' || encode(timestamptz_send(")
        .append(column)
        .append("), 'hex'))::bit(64)::bigint");
}

timestamp to_timestamp(const sql::field& value) {
    return value.is_null() ? timestamp{} : wire::clock_time(value.as<std::int64_t>());
}

std::optional<timestamp> to_expiry(const sql::field& value) {
    if (value.is_null()) return std::nullopt;
    return to_timestamp(value);
}

class postgres_transaction final : public transaction {
public:
    postgres_transaction(pqxx::dbtransaction& around, const settings::resolved_config& config,
                         const pool::call_context& context, telemetry::hub* hub)
        : around_(around), sql_(config.table.quoted(), sql::table_sql::writer::nameless),
          default_ttl_(config.default_ttl), settings_(config.session_settings), context_(context), hub_(hub) {
    }

    saved save(const agent_state& state, save_options options) override {
        const detail::encoded_state encoded(state);
        if (encoded.failure) throw *encoded.failure;
        return do_save(encoded, options);
    }

    std::optional<agent_state> load(std::string_view agent_id, std::string_view session_id) override {
        codec::validate_key(agent_id, session_id, "load");
        return guarded(telemetry::operation_id::load, [&]() -> std::optional<agent_state> {
            const auto found = sql::execute(
                around_,
                sql_.select("t.state::text, t.version, " + server_time_of("t.created_at") + ", " +
                                server_time_of("t.updated_at") + ", " + server_time_of("t.expires_at"),
                            "", where_alive()),
                pqxx::params(agent_id, session_id));
            if (found.empty()) return std::nullopt;
            const auto row = found[0];
            holds(row[0].view().size());
            return codec::decode(agent_id, session_id, row[0].view(), row[1].as<std::int64_t>(),
                                 to_timestamp(row[2]), to_timestamp(row[3]), to_expiry(row[4]));
        });
    }

    bool erase(std::string_view agent_id, std::string_view session_id) override {
        codec::validate_key(agent_id, session_id, "erase");
        return guarded(telemetry::operation_id::erase, [&] {
            const pqxx::params key(agent_id, session_id);
            for (contradictions seen;;) {
                if (!sql::execute(around_, sql_.erase("", by_key, "t.version"), key).empty()) return true;
                const auto version = version_of(key);
                if (version == 0) return false;
                if (!seen.worth_retry(version)) throw write_suppressed("erase");
            }
        });
    }

    pqxx::transaction_base& sql() override { return around_; }

private:
    static constexpr auto by_key = sql::table_sql::by_key;
    /// A commit whose outcome is not known is not looked for in the rows.
    static constexpr std::string_view no_name{};

    static std::string where_alive() {
        return std::string(" WHERE ").append(by_key).append(" AND ").append(sql::table_sql::alive);
    }

    saved do_save(const detail::encoded_state& state, save_options options) override {
        codec::validate_ttl(options.ttl, "save");
        return guarded(telemetry::operation_id::save, [&] {
            return state.stored_messages == 0 ? save_encoded(state, options.if_unchanged, options.ttl)
                                              : save_part(state, options.if_unchanged, options.ttl);
        });
    }

    void holds(std::size_t bytes) { context_.held->store(std::max(context_.held->load(), bytes)); }

    /// 0: there is none.
    std::int64_t version_of(const pqxx::params& key) {
        const auto found = sql::execute(around_, sql_.select("t.version", "", where_alive()), key);
        return found.empty() ? 0 : found[0][0].as<std::int64_t>();
    }

    saved save_encoded(const detail::encoded_state& state, bool if_unchanged,
                       std::optional<std::chrono::milliseconds> ttl) {
        const bool replaces = if_unchanged && state.version != 0;
        const auto life = ttl.value_or(replaces ? std::chrono::milliseconds(0) : default_ttl_);
        const pqxx::params key(state.agent_id, state.session_id);
        pqxx::params all(state.agent_id, state.session_id, state.document, life.count());
        std::string statement;
        if (!replaces) {
            using existing = sql::table_sql::existing;
            const auto over = if_unchanged                 ? existing::unchanged
                              : state.version != 0 && !ttl ? existing::renewed
                                                           : existing::replaced;
            statement = sql_.insert(
                sql_.one_row("$3::jsonb", sql::table_sql::expiry_in("$4::bigint"), no_name), over, written());
        } else {
            all.append(state.version);
            statement = sql_.replace("$3::jsonb", sql::table_sql::expiry_or_kept("$4::bigint"), "",
                                     std::string(by_key) + " AND t.version = $5::bigint", no_name, written());
        }
        holds(state.document.size());
        for (contradictions seen;;) {
            const auto done = sql::execute(around_, statement, all);
            if (!done.empty()) return saved_in(done, state);
            if (!if_unchanged) throw write_suppressed("save");
            const auto version = version_of(key);
            if (version != state.version) throw codec::conflict("save", state.version, version);
            if (!seen.worth_retry(version)) throw write_suppressed("save");
        }
    }

    /// Of a state that was loaded in part.
    saved save_part(const detail::encoded_state& state, bool if_unchanged,
                    std::optional<std::chrono::milliseconds> ttl) {
        const pqxx::params key(state.agent_id, state.session_id);
        const pqxx::params all(state.agent_id, state.session_id, state.document, ttl ? ttl->count() : 0,
                               state.stored_messages,
                               if_unchanged ? std::optional(state.version) : std::nullopt);
        const auto statement =
            sql_.extend("$3::jsonb", "$4::bigint", "$5::bigint", "$6::bigint", no_name, written());
        const auto met =
            sql_.select("t.version, " + sql::history_sql::count_in("t.state"), "", where_alive());
        holds(state.document.size());
        for (contradictions seen;;) {
            const auto done = sql::execute(around_, statement, all);
            if (!done.empty()) return saved_in(done, state);
            const auto found = sql::execute(around_, met, key);
            const auto version = found.empty() ? 0 : found[0][0].as<std::int64_t>();
            const auto messages = found.empty() ? 0 : found[0][1].as<std::uint64_t>();
            if (const auto why = codec::conflict_with(state, if_unchanged, version, messages)) throw *why;
            if (!seen.worth_retry(version)) throw write_suppressed("save");
        }
    }

    static std::string written() {
        return "t.version, " + server_time_of("t.created_at") + ", " + server_time_of("t.updated_at") + ", " +
               server_time_of("t.expires_at") + ", t.agent_id, t.session_id";
    }

    static saved saved_in(const pqxx::result& done, const detail::encoded_state& state) {
        const auto row = done[0];
        const auto agent = row[4].view();
        const auto session = row[5].view();
        if (agent != state.agent_id || session != state.session_id)
            throw stored_elsewhere("save", state.agent_id, state.session_id, agent, session);
        saved made{row[0].as<std::int64_t>(), to_timestamp(row[1]), to_timestamp(row[2]), to_expiry(row[3])};
        made.mark = state.mark;
        return made;
    }

    template <class Work>
    std::invoke_result_t<Work> guarded(telemetry::operation_id what, Work work) {
        return telemetry::in_span(hub_, telemetry::span_name_of(what), context_.span, [&] {
            return sql::keeping_values_secret(settings_, [&] {
                try {
                    return work();
                } catch (...) {
                    pool::rethrow_as_error(telemetry::name_of(what));
                }
            });
        });
    }

    pqxx::dbtransaction& around_;
    const sql::table_sql sql_;
    std::chrono::milliseconds default_ttl_;
    const sql::session_settings& settings_;
    const pool::call_context& context_;
    telemetry::hub* hub_;
};

std::unique_ptr<pqxx::dbtransaction> begin(pqxx::connection& connection, isolation_level isolation) {
    switch (isolation) {
    case isolation_level::serializable:
        return std::make_unique<pqxx::transaction<pqxx::isolation_level::serializable>>(connection);
    case isolation_level::repeatable_read:
        return std::make_unique<pqxx::transaction<pqxx::isolation_level::repeatable_read>>(connection);
    case isolation_level::read_committed: break;
    }
    // libpqxx takes it for the server's default, but a role or a session can have another one.
    auto begun = std::make_unique<pqxx::transaction<pqxx::isolation_level::read_committed>>(connection);
    begun->exec("SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
    return begun;
}

void refuse_abandoned(const pool::abandoned_flag& abandoned) {
    if (*abandoned)
        throw error(errc::timed_out, transaction_name, "nobody waits for it any more; it was rolled back");
}

void attempt(pqxx::connection& connection, const settings::resolved_config& config,
             const std::function<void(transaction&)>& function, isolation_level isolation,
             const pool::call_context& context, telemetry::hub* hub) {
    sql::keeping_values_secret(config.session_settings, [&] {
        try {
            const auto around = begin(connection, isolation);
            sql::set_for(*around, config.session_settings, transaction_name);
            postgres_transaction with(*around, config, context, hub);
            function(with);
            refuse_abandoned(context.abandoned);
            around->commit();
        } catch (...) {
            pool::rethrow_callback_failure(transaction_name);
        }
    });
}

} // namespace

void run_transaction(pqxx::connection& connection, const settings::resolved_config& config,
                     const std::function<void(transaction&)>& function, const transaction_options& options,
                     const pool::call_context& context, const std::shared_ptr<telemetry::hub>& hub) {
    std::minstd_rand random{std::random_device{}()};
    for (int tries = 1;; ++tries) {
        try {
            return attempt(connection, config, function, options.isolation, context, hub.get());
        } catch (const error& e) {
            const bool again = e.sqlstate() == "40001" || e.sqlstate() == "40P01";
            if (!again || tries > options.max_retries) throw;
        }
        refuse_abandoned(context.abandoned);
        const double dice = std::uniform_real_distribution<>(0, 1)(random);
        std::this_thread::sleep_for(pool::backoff(static_cast<std::size_t>(tries), dice) / 4);
    }
}

} // namespace pgstate::postgres
