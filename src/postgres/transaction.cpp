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
#include "sql/checkpoint_sql.hpp"
#include "sql/history_sql.hpp"
#include "sql/message_rows.hpp"
#include "sql/pqxx_compat.hpp"
#include "sql/session_settings.hpp"
#include "sql/table_sql.hpp"
#include "wire/rows.hpp"

#include <boost/lexical_cast.hpp>
#include <boost/uuid/uuid.hpp>
#include <boost/uuid/uuid_io.hpp>

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
                         const sql::histories& where, const pool::call_context& context, telemetry::hub* hub)
        : around_(around), sql_(config.table.quoted(), sql::table_sql::writer::nameless, where),
          rows_(sql_, sql::message_rows::input::one, rows_answer()), default_ttl_(config.default_ttl),
          settings_(config.session_settings), context_(context), hub_(hub) {}

    saved save(const agent_state& state, save_options options) override {
        const detail::encoded_state encoded(state);
        if (encoded.failure) throw *encoded.failure;
        return do_save(encoded, options);
    }

    std::optional<agent_state> load(std::string_view agent_id, std::string_view session_id) override {
        codec::validate_key(agent_id, session_id, "load");
        return guarded(telemetry::operation_id::load, [&]() -> std::optional<agent_state> {
            auto columns = "t.state::text, t.version, " + server_time_of("t.created_at") + ", " +
                           server_time_of("t.updated_at") + ", " + server_time_of("t.expires_at");
            if (sql_.where().may_be_in_rows())
                columns += ", t.messages, " + sql::history_sql::rows_columns(sql_.where(), "t", "", "");
            const auto found = sql::execute(around_, sql_.select(columns, "", where_alive()),
                                            pqxx::params(agent_id, session_id));
            if (found.empty()) return std::nullopt;
            const auto row = found[0];
            const bool in_rows = sql_.where().may_be_in_rows() && !row[6].is_null();
            const auto messages = in_rows && !row[7].is_null() ? row[7].view() : std::string_view();
            holds(row[0].view().size() + messages.size());
            auto loaded = codec::decode(agent_id, session_id, row[0].view(), row[1].as<std::int64_t>(),
                                        to_timestamp(row[2]), to_timestamp(row[3]), to_expiry(row[4]), "load",
                                        in_rows ? std::optional(messages) : std::nullopt);
            if (in_rows) note_rows(loaded, row[5].as<std::uint64_t>(), row[6].view());
            return loaded;
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
            if (state.stored_messages != 0) return save_part(state, options.if_unchanged, options.ttl);
            if (sql_.where().may_be_in_rows() && state.epoch != wire::uuid{} && state.version != 0) {
                // No row: the stored history is not what the state begins with.
                const auto done = add_in_rows(state, options.if_unchanged, options.ttl);
                if (!done.empty()) return saved_in(done, state);
            }
            return save_encoded(state, options.if_unchanged, options.ttl);
        });
    }

    static void note_rows(agent_state& loaded, std::uint64_t messages, std::string_view epoch) {
        if (loaded.history.size() != messages)
            throw error(errc::corrupt_state, "load",
                        "the history has " + std::to_string(messages) + " messages, but there are " +
                            std::to_string(loaded.history.size()) +
                            " rows of them; something else than pgstate has written or deleted some");
        codec::note_window(loaded, 0, messages, epoch_in(epoch));
    }

    static wire::uuid epoch_in(std::string_view text) {
        wire::uuid read{};
        const auto parsed = boost::lexical_cast<boost::uuids::uuid>(text);
        std::copy(parsed.begin(), parsed.end(), read.begin());
        return read;
    }

    static std::string text_of(const wire::uuid& epoch) {
        boost::uuids::uuid value;
        std::copy(epoch.begin(), epoch.end(), value.begin());
        return boost::uuids::to_string(value);
    }

    /// As the server reads a text[] (PostgreSQL manual, "Array Input and Output Syntax"): libpqxx 8 takes no array of strings
    /// without knowing their encoding.
    static std::string array_of(const std::vector<std::string_view>& texts) {
        std::string array = "{";
        for (const auto text : texts) {
            array += array.size() == 1 ? "\"" : ",\"";
            for (const char c : text) {
                if (c == '"' || c == '\\') array += '\\';
                array += c;
            }
            array += '"';
        }
        return array += '}';
    }

    /// Adds to a history in rows what is new.
    pqxx::result add_in_rows(const detail::encoded_state& state, bool if_unchanged,
                             std::optional<std::chrono::milliseconds> ttl) {
        const auto first = state.stored_messages != 0 ? 0 : static_cast<std::size_t>(state.known_messages);
        const auto messages = codec::messages_in(state.document, state.history, first);
        holds(state.document.size());
        return sql::execute(
            around_, rows_.extend().sql,
            pqxx::params(state.agent_id, state.session_id, ttl ? ttl->count() : 0, 1, messages.size(),
                         sql::message_rows::version_condition(if_unchanged ? std::optional(state.version)
                                                                           : std::nullopt),
                         codec::without_history(state.document, state.history), state.known_messages,
                         text_of(state.epoch), array_of(messages)));
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
        using existing = sql::table_sql::existing;
        const auto over = if_unchanged                 ? existing::unchanged
                          : state.version != 0 && !ttl ? existing::renewed
                                                       : existing::replaced;
        std::string statement;
        pqxx::params all;
        if (sql_.where().begin_in_rows) {
            const auto messages = codec::messages_in(state.document, state.history);
            statement = (replaces ? rows_.replace() : rows_.save(over)).sql;
            all = pqxx::params(state.agent_id, state.session_id, life.count(), 1, messages.size());
            if (replaces) all.append(state.version);
            all.append(codec::without_history(state.document, state.history));
            all.append(array_of(messages));
        } else {
            all = pqxx::params(state.agent_id, state.session_id, state.document, life.count());
            if (replaces) all.append(state.version);
            statement = saving([&](const std::string& returning) {
                if (replaces)
                    return sql_.replace("$3::jsonb", sql::table_sql::expiry_or_kept("$4::bigint"), "",
                                        std::string(by_key) + " AND t.version = $5::bigint", no_name,
                                        returning, sql_.in_document());
                return sql_.insert(sql_.one_row("$3::jsonb", sql::table_sql::expiry_in("$4::bigint"), no_name,
                                                sql_.epoch_columns()),
                                   over, returning);
            });
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
        const auto statement = saving([&](const std::string& returning) {
            return sql_.extend("$3::jsonb", "$4::bigint", "$5::bigint", "$6::bigint", no_name, returning);
        });
        const auto& where = sql_.where();
        const auto met = sql_.select("t.version, " + sql::history_sql::count(where) +
                                         (where.may_be_in_rows() ? ", t.epoch" : ", NULL::uuid"),
                                     "", where_alive());
        holds(state.document.size());
        bool in_rows = where.may_be_in_rows() && state.epoch != wire::uuid{};
        for (contradictions seen;;) {
            const auto done =
                in_rows ? add_in_rows(state, if_unchanged, ttl) : sql::execute(around_, statement, all);
            if (!done.empty()) return saved_in(done, state);
            const auto found = sql::execute(around_, met, key);
            const auto version = found.empty() ? 0 : found[0][0].as<std::int64_t>();
            const auto messages = found.empty() ? 0 : found[0][1].as<std::uint64_t>();
            if (const auto why = codec::conflict_with(state, if_unchanged, version, messages)) throw *why;
            in_rows = !found[0][2].is_null(); // the history may have been moved
            const bool another =
                in_rows && state.epoch != wire::uuid{} && epoch_in(found[0][2].view()) != state.epoch;
            if (another) throw codec::replaced_history(version);
            if (!seen.worth_retry(version)) throw write_suppressed("save");
        }
    }

    template <class Write>
    std::string saving(Write write) const {
        return sql::checkpoint_sql::saving(sql_, written(), write);
    }

    static std::string written() {
        return "t.version, " + server_time_of("t.created_at") + ", " + server_time_of("t.updated_at") + ", " +
               server_time_of("t.expires_at") + ", t.agent_id, t.session_id";
    }
    static std::string rows_answer() {
        return "k.version, " + server_time_of("k.created_at") + ", " + server_time_of("k.updated_at") + ", " +
               server_time_of("k.expires_at") + ", k.agent_id, k.session_id, k.epoch";
    }

    static saved saved_in(const pqxx::result& done, const detail::encoded_state& state) {
        const auto row = done[0];
        const auto agent = row[4].view();
        const auto session = row[5].view();
        if (agent != state.agent_id || session != state.session_id)
            throw stored_elsewhere("save", state.agent_id, state.session_id, agent, session);
        saved made{row[0].as<std::int64_t>(), to_timestamp(row[1]), to_timestamp(row[2]), to_expiry(row[3])};
        made.mark = state.mark;
        if (row.size() > 6) made.mark = codec::with_epoch(state.mark, epoch_in(row[6].view()));
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
    const sql::message_rows rows_; ///< of sql_
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
             const sql::histories& where, const std::function<void(transaction&)>& function,
             isolation_level isolation, const pool::call_context& context, telemetry::hub* hub) {
    sql::keeping_values_secret(config.session_settings, [&] {
        try {
            const auto around = begin(connection, isolation);
            sql::set_for(*around, config.session_settings, transaction_name);
            postgres_transaction with(*around, config, where, context, hub);
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
                     const sql::histories& where, const std::function<void(transaction&)>& function,
                     const transaction_options& options, const pool::call_context& context,
                     const std::shared_ptr<telemetry::hub>& hub) {
    std::minstd_rand random{std::random_device{}()};
    for (int tries = 1;; ++tries) {
        try {
            return attempt(connection, config, where, function, options.isolation, context, hub.get());
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
