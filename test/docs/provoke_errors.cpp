// Provokes the errors that the guide's page about troubleshooting quotes, against a real server, and prints their texts as
// one JSON object: the error's name there, and what() as the program got it. Where a text has this server's directory or
// ports, they are replaced by usual ones. check_errors.py compares.
#include "pgstate/embedded_server.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"
#include "support/test_server.hpp"

#include <boost/asio/deferred.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/json.hpp>

#include <pqxx/pqxx>

#include <cstdlib>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::as_result;

namespace {

class provoked {
public:
    void add(const std::string& name, std::string text) {
        replace(text, server().socket_directory().string(), "/run/postgresql");
        replace(text, std::to_string(server().port()), "5432");
        texts_[name] = text;
    }
    template <class T>
    void add(const std::string& name, const pgstate::result<T>& outcome) {
        if (outcome) throw std::runtime_error(name + " did not fail");
        add(name, outcome.error().what());
    }
    const boost::json::object& texts() const { return texts_; }

private:
    static void replace(std::string& text, const std::string& what, const std::string& by) {
        for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size())
            text.replace(at, what.size(), by);
    }

    boost::json::object texts_;
};

void execute(const std::string& database, const std::string& sql) {
    pqxx::connection connection(database);
    pqxx::nontransaction(connection).exec(sql);
}

/// A store whose event loop runs on a thread of its own.
class running_store {
public:
    explicit running_store(const pgstate::config& config) {
        try {
            store_ = pgstate::postgres_store::open(context_.get_executor(), config, asio::use_future).get();
        } catch (...) {
            work_.reset(); // or the thread would never end
            throw;
        }
    }
    ~running_store() {
        store_ = {};
        work_.reset();
    }
    pgstate::postgres_store& operator*() { return store_; }
    pgstate::postgres_store* operator->() { return &store_; }

private:
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::jthread thread_{[this] { context_.run(); }};
    pgstate::postgres_store store_;
};

const auto wait = as_result(asio::use_future);

pgstate::result<void> open(const pgstate::config& config) {
    try {
        const running_store opened(config);
        return {};
    } catch (const pgstate::error& e) {
        return e;
    }
}

pgstate::config config_for(std::string connection_string) {
    pgstate::config config;
    config.connection_string = std::move(connection_string);
    return config;
}

std::string with(std::string url, const std::string& what, const std::string& by) {
    const auto at = url.find(what);
    if (at == url.npos) throw std::runtime_error("no " + what + " in the connection string");
    return url.replace(at, what.size(), by);
}

void encoding(provoked& errors) {
    const auto database = fresh_database_name() + "_latin1";
    execute(server().connection_string("postgres"),
            "CREATE DATABASE " + database +
                " ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
    running_store store(config_for(server().connection_string(database)));
    pgstate::agent_state state("agent-1", "session-1");
    state.data["price"] = "12 \xe2\x82\xac";
    errors.add("encoding", store->save(state, wait).get());
}

void settings(provoked& errors) {
    ::unsetenv("DATABASE_URL"); // NOLINT(concurrency-mt-unsafe): there are no other threads yet
    try {
        pgstate::config::from_environment();
    } catch (const pgstate::error& e) {
        errors.add("no-database-url", e.what());
    }
    errors.add("empty-connection-string", open(config_for("")));
    errors.add("unknown-pool-key", open(config_for("postgres://localhost/mydb?pool_max_cons=8")));
    errors.add("blank-around-uri", open(config_for("postgres://localhost/mydb\n")));
    errors.add("jdbc-url", open(config_for("jdbc:postgresql://localhost/mydb?user=app")));
    errors.add("schema-parameter", open(config_for("postgres://localhost/mydb?schema=app")));
    errors.add("ssl-parameter", open(config_for("postgres://localhost/mydb?ssl=require")));
    errors.add("unknown-option", open(config_for("host=localhost dbname=mydb sslmod=require")));
    auto many = config_for("postgres://localhost/mydb");
    many.pool.max_conns = 2;
    many.pool.min_conns = 4;
    errors.add("setting-out-of-range", open(many));
    try {
        pgstate::embedded_server_options options;
        options.bin_directory = "/opt/postgresql/bin";
        const pgstate::embedded_server none(options);
    } catch (const pgstate::error& e) {
        errors.add("no-programs", e.what());
    }
}

void connecting(provoked& errors) {
    errors.add("connection-refused", open(config_for("postgres://app@127.0.0.1:1/mydb")));
    errors.add("no-socket", open(config_for("host=/run/elsewhere port=5432 user=app dbname=mydb")));
    errors.add("no-database", open(config_for(server().connection_string("mydb"))));
    errors.add("no-tls", open(config_for(server().tcp_connection_string() + "?sslmode=require")));

    const auto database = fresh_database_name();
    execute(
        server().connection_string(database),
        "CREATE ROLE app LOGIN PASSWORD 'right'; CREATE ROLE busy LOGIN PASSWORD 'right' CONNECTION LIMIT 0");
    auto url = server().tcp_connection_string(database);
    url = "postgresql://app:wrong" + url.substr(url.find('@'));
    errors.add("wrong-password", open(config_for(url)));
    errors.add("too-many-connections", open(config_for(with(url, "app:wrong", "busy:right"))));

    url = with(url, "wrong", "right");
    execute(server().connection_string(database), "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    errors.add("no-right-to-create", open(config_for(url)));
    auto verifying = config_for(url);
    verifying.schema.migrate = pgstate::migrate_mode::verify;
    errors.add("not-up-to-date", open(verifying));
    execute(server().connection_string(database), "CREATE TABLE agent_states (agent_id TEXT, state TEXT)");
    errors.add("other-table", open(verifying));
}

void rights(provoked& errors) {
    const auto database = fresh_database_name();
    const auto owner = server().connection_string(database);
    { const running_store made(config_for(owner)); }
    execute(owner, "GRANT SELECT ON agent_states TO app");
    auto url = server().tcp_connection_string(database);
    const auto app = config_for("postgresql://app:right" + url.substr(url.find('@')));
    const pgstate::agent_state state("agent-1", "session-1");
    {
        running_store store(app);
        errors.add("no-right-to-write", store->save(state, wait).get());
    }
    execute(owner, "GRANT INSERT, UPDATE, DELETE ON agent_states TO app;"
                   "ALTER TABLE agent_states ENABLE ROW LEVEL SECURITY");
    {
        running_store store(app);
        errors.add("row-level-security", store->save(state, wait).get());
    }
    execute(owner, "ALTER DATABASE \"" + database + "\" SET default_transaction_read_only = on");
    auto unmigrated = config_for(owner);
    unmigrated.schema.migrate = pgstate::migrate_mode::off;
    running_store store(unmigrated);
    errors.add("read-only", store->save(state, wait).get());
}

void arguments(provoked& errors, pgstate::postgres_store& store, const std::string& database) {
    pgstate::agent_state state("agent-1", "session-1");
    state.data["step"] = "one";
    store.save(state, asio::use_future).get();
    errors.add("conflict-new", store.save(state, {.if_unchanged = true}, wait).get());
    state.version = 1;
    errors.add("conflict", store.save(state, {.if_unchanged = true}, wait).get());
    state.history.resize(3);
    store.save(state, asio::use_future).get();
    auto part =
        store.load("agent-1", "session-1", {.history = pgstate::history_window::last(1)}, asio::use_future)
            .get()
            .value();
    part.history[0].content = "changed";
    errors.add("part-changed", store.save(part, wait).get());
    part.history[0].content.clear();
    store.append("agent-1", "session-1", {{"user", "Hello!"}}, asio::use_future).get();
    errors.add("part-conflict", store.save(part, wait).get());
    errors.add("not-found", store.touch("agent-1", "session-2", 1h, wait).get());
    errors.add("no-number", store.increment("agent-1", "session-1", "/data/step", 1, wait).get());
    errors.add("nul", store.load("agent-1", std::string_view("a\0b", 3), wait).get());
    errors.add("long-key", store.load("agent-1", std::string(3000, 'x'), wait).get());
    pgstate::state_query query;
    query.jsonpath = "$.data.step == = 1";
    errors.add("jsonpath", store.find(query, wait).get());
    errors.add("cursor", store.list("agent-1", pgstate::list_options(10, "tampered"), wait).get());
    execute(database, "INSERT INTO agent_states VALUES ('agent-1', 'odd', '[]')");
    errors.add("corrupt-state", store.load("agent-1", "odd", wait).get());
    auto throws = [](pgstate::transaction&) { throw std::runtime_error("out of credit"); };
    errors.add("callback-failed", store.transaction(throws, wait).get());
    auto sql = [](pgstate::transaction& tx) { tx.sql().exec("SELECT * FROM accounts"); };
    errors.add("own-sql", store.transaction(sql, wait).get());
}

void waiting(provoked& errors, pgstate::postgres_store& store, const std::string& database) {
    {
        // Somebody else has the row locked.
        pqxx::connection other(database);
        pqxx::work lock(other);
        lock.exec(
            "SELECT FROM agent_states WHERE agent_id = 'agent-1' AND session_id = 'session-1' FOR UPDATE");
        const pgstate::agent_state state("agent-1", "session-1");
        errors.add("timed-out", store.save(state, {.timeout = 1s}, wait).get());
    }
    // The only connection is in use.
    std::promise<void> has_it;
    std::promise<void> enough;
    auto hold = [&](pqxx::connection&) {
        has_it.set_value();
        enough.get_future().wait();
    };
    auto held = store.pool().with_connection(hold, asio::use_future);
    has_it.get_future().wait();
    errors.add("pool-exhausted", store.load("agent-1", "session-1", {.timeout = 100ms}, wait).get());
    auto first = store.load("agent-1", "session-1", wait);
    auto second = store.load("agent-1", "session-1", wait);
    errors.add("overloaded", store.load("agent-1", "session-1", wait).get());
    enough.set_value();
    held.get();
    first.get();
    second.get();
    store.close(asio::use_future).get();
    errors.add("closed", store.load("agent-1", "session-1", wait).get());
}

} // namespace

int main() {
    try {
        provoked errors;
        settings(errors);
        encoding(errors);
        connecting(errors);
        rights(errors);
        auto config = config_for(fresh_database());
        config.pool.max_conns = 1;
        config.pending.max_operations = 2;
        running_store store(config);
        arguments(errors, *store, config.connection_string);
        waiting(errors, *store, config.connection_string);
        std::cout << errors.texts() << '\n';
        return 0;
    } catch (const std::exception& e) {
        std::cerr << "provoke_errors: " << e.what() << '\n';
        return 1;
    }
}
