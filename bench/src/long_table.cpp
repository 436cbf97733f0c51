#include "long_table.hpp"

#include "pgstate/rfc3339.hpp"

#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>

#include <pqxx/nontransaction>
#include <pqxx/result>

#include <array>
#include <chrono>
#include <string_view>
#include <utility>

namespace bench {
namespace {

constexpr std::array<std::string_view, 64> words{
    "the",    "order",    "was",      "sent",      "to",      "a",     "customer", "and",
    "has",    "not",      "arrived",  "yet",       "please",  "look",  "up",       "its",
    "number", "in",       "system",   "then",      "tell",    "me",    "when",     "it",
    "will",   "be",       "there",    "I",         "found",   "three", "results",  "for",
    "your",   "search",   "function", "returns",   "list",    "of",    "values",   "which",
    "we",     "should",   "check",    "before",    "calling", "this",  "again",    "because",
    "server", "answered", "with",     "an",        "error",   "that",  "says",     "no",
    "such",   "file",     "or",       "directory", "thank",   "you",   "summary",  "of"};

pgstate::timestamp this_moment() {
    return std::chrono::floor<pgstate::timestamp::duration>(std::chrono::system_clock::now());
}

pgstate::config config_of(const std::string& url, const std::string& table, std::size_t conns) {
    pgstate::config config;
    config.connection_string = url;
    config.table_name = table;
    config.pool.max_conns = conns;
    config.operation_timeout = std::chrono::minutes(5);
    config.schema.checkpoints = true;
    return config;
}

} // namespace

pgstate::agent_message message_maker::make() {
    const auto when = this_moment();
    const auto around = std::string_view(R"({"role":"user","content":"","timestamp":""})").size() +
                        pgstate::to_rfc3339(when).size();
    std::string text;
    while (text.size() + around < message_bytes)
        text.append(text.empty() ? "" : " ").append(words[random_() % words.size()]);
    text.resize(message_bytes - around);
    return {"user", std::move(text), when};
}

pgstate::agent_state message_maker::make_state(std::string agent, std::size_t messages, bool ids) {
    pgstate::agent_state made(std::move(agent), "session-0");
    made.data["step"] = 1;
    made.context["user"] = "john";
    made.history.reserve(messages);
    for (std::size_t i = 0; i < messages; ++i) {
        made.history.push_back(make());
        if (ids) made.history.back().id = id_of(i);
    }
    return made;
}

std::string message_maker::id_of(std::uint64_t number) {
    return "message-" + std::to_string(number);
}

long_table::long_table(engine& runs_on, const arguments& chosen, const std::string& url,
                       pgstate::history_layout layout, std::size_t conns)
    : rows_(layout == pgstate::history_layout::rows),
      table_((chosen.table.empty() ? "bench_long" : chosen.table) + (rows_ ? "_rows" : "_document")),
      sql_(make_observer(runs_on, url)) {
    for (const char* more : {"_messages", "_checkpoints", ""})
        execute("DROP TABLE IF EXISTS " + table_ + more + " CASCADE");
    auto config = config_of(url, table_, conns);
    config.schema.history = layout;
    config.schema.indexes = chosen.indexes;
    store_ = pgstate::postgres_store::open(runs_on.executor(), config, boost::asio::use_future).get();
    if (conns > 1) return;
    // What autovacuum writes to the log would count as an operation's.
    execute("ALTER TABLE " + table_ + " SET (autovacuum_enabled = off, toast.autovacuum_enabled = off)");
    if (rows_) execute("ALTER TABLE " + table_ + "_messages SET (autovacuum_enabled = off)");
}

long_table::~long_table() {
    try {
        store_->close(boost::asio::use_future).get();
    } catch (const std::exception&) {
        // The run is over, and its report says what failed.
    }
}

void long_table::tidy_up() {
    for (const char* more : {"", "_checkpoints", "_messages"})
        if (rows_ || *more != '_' || std::string_view(more) == "_checkpoints")
            execute("VACUUM ANALYZE " + table_ + more);
    execute("CHECKPOINT");
}

void long_table::execute(const std::string& sql) {
    sql_.with_connection(
            [&](pqxx::connection& c) {
                pqxx::nontransaction around(c);
                around.exec(sql);
            },
            boost::asio::use_future)
        .get();
}

boost::asio::awaitable<std::int64_t> log_position(pgstate::connection_pool& server) {
    co_return co_await server.with_connection(
        [](pqxx::connection& c) {
            pqxx::nontransaction sql(c);
            return sql.exec("SELECT (pg_current_wal_lsn() - '0/0')::bigint")[0][0].as<std::int64_t>();
        },
        boost::asio::use_awaitable);
}

pgstate::connection_pool make_observer(engine& runs_on, const std::string& url) {
    pgstate::config config;
    config.connection_string = url;
    config.pool.max_conns = 1;
    config.pool.validate_after_idle = std::chrono::hours(24);
    config.operation_timeout = std::chrono::minutes(5);
    return pgstate::connection_pool(runs_on.executor(), config);
}

} // namespace bench
