// What the README and the guide show and no other example has, so that all of it is compiled, and run where a private
// server is enough. examples/check_snippets.py compares the marked parts with the pages, to the letter.
#include "support/run_example.hpp"
#include <pgstate/embedded_server.hpp>
#include <pgstate/pgstate.hpp>

#include <boost/asio.hpp>

#include <pqxx/pqxx>

#include <chrono>
#include <iostream>
#include <string>

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> change_parts(pgstate::state_store& store) {
    // [change]
    pgstate::change_options creating;
    creating.create = true;
    co_await store.append("agent-1", "session-1", {{"user", "Hello!"}}, creating);
    co_await store.increment("agent-1", "session-1", "/context/tokens", 512); // a JSON pointer (RFC 6901)
    // [change]

    // [merge]
    pgstate::state_patch patch;
    patch.data["customer"] = 7;
    patch.remove_context.emplace_back("draft");
    co_await store.merge("agent-1", "session-1", patch);
    // [merge]

    // [once]
    pgstate::agent_message message("tool", "42");
    message.id = "call-7/result"; // at most 256 bytes; names the message in the history of this session
    const auto made = co_await store.append("agent-1", "session-1", message);
    if (!made.applied) std::cout << "it was there already\n"; // and nothing has changed
    // [once]

    // [expiry]
    pgstate::agent_state draft{"agent-1", "draft"};
    co_await store.save(draft, {.ttl = 24h});               // gone a day after this
    co_await store.touch("agent-1", "draft", 7 * 24h);      // a week from now
    co_await store.touch("agent-1", "draft", std::nullopt); // never
    // [expiry]
}

asio::awaitable<void> go_back(pgstate::state_store& store) {
    // [checkpoint]
    const auto kept = co_await store.checkpoint("agent-1", "session-1", {.label = "before the tool call"});
    // ... saves, appends ...
    const auto then = co_await store.load("agent-1", "session-1", {.at = kept.version}); // to look at
    co_await store.restore("agent-1", "session-1", kept.version);                        // back to it
    co_await store.fork("agent-1", "session-1", "session-2", {.at = kept.version}); // on in another session
    co_await store.prune("agent-1", "session-1", {.keep = 20, .older_than = 24h});
    // [checkpoint]
    if (then) std::cout << "version " << then->version << " had " << then->history.size() << " messages\n";
    co_await store.erase("agent-1", "session-2"); // the search is to find one
}

asio::awaitable<void> save_twice(pgstate::state_store& store) {
    // [apply_to]
    pgstate::agent_state state{"agent-1", "twice"};
    (co_await store.save(state)).apply_to(state);
    state.data["step"] = 2;
    (co_await store.save(state, {.if_unchanged = true})).apply_to(state);
    // [apply_to]
}

asio::awaitable<void> read_in_part(pgstate::state_store& store) {
    pgstate::agent_state made{"agent-1", "long"};
    made.history.resize(60);
    co_await store.save(made);
    // [window]
    auto turn = co_await store.load("agent-1", "long", {.history = pgstate::history_window::last(50)});
    std::cout << turn->history_offset << " messages came before these\n";
    turn->history.emplace_back("user", "And then?");
    turn->data["turns"] = turn->history_offset + turn->history.size();
    (co_await store.save(*turn, {.if_unchanged = true})).apply_to(*turn); // sends one message
    // [window]
    expect(turn->history_offset == 10 && turn->history.size() == 51, "a part of the history");

    // [messages]
    pgstate::messages_options page_of; // from the end backwards
    for (;;) {
        auto page = co_await store.messages("agent-1", "long", page_of);
        if (!page) break;
        for (const auto& message : *page)
            std::cout << message.role << ": " << message.content << '\n';
        if (!page->previous) break;
        page_of.before = page->previous;
    }
    // [messages]
    co_await store.erase("agent-1", "long");
}

asio::awaitable<void> keep_in_rows(pgstate::config config) {
    config.table_name = "agent_states_in_rows";
    // [rows]
    config.schema.history = pgstate::history_layout::rows;
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    // [rows]
    pgstate::agent_state made{"agent-1", "long"};
    made.history.resize(60);
    co_await store.save(made);
    // [tail]
    auto state = co_await store.load("agent-1", "long");
    state->history.emplace_back("user", "And then?");
    (co_await store.save(*state, {.if_unchanged = true})).apply_to(*state); // sends this message
    state->history.emplace_back("tool", "42");
    (co_await store.save(*state, {.if_unchanged = true})).apply_to(*state); // and this one
    // [tail]
    expect(state->history.size() == 62, "a history in rows");

    // [message_jsonpath]
    pgstate::state_query query;
    query.message_jsonpath = R"($.role == "tool")"; // of a message, wherever the history is
    auto page = co_await store.find(query);
    // [message_jsonpath]
    expect(page.size() == 1, "a message that was searched for");
    co_await store.erase("agent-1", "long");
    co_await store.close();
}

asio::awaitable<void> search(pgstate::state_store& store) {
    const auto yesterday =
        std::chrono::floor<std::chrono::microseconds>(std::chrono::system_clock::now()) - 24h;
    // [find]
    pgstate::state_query query;
    query.contains["data"] = {{"customer", 7}}; // jsonb's @>: in any depth; 7 finds 7.0 as well
    query.jsonpath =
        R"(exists($.history[*] ? (@.role == "user")))"; // jsonb's @@: an SQL/JSON path that is a predicate
    query.updated.from = yesterday;                     // from it on; `until` is not included
    auto page = co_await store.find(query);             // page.next goes into find_options::after
    // [find]
    expect(page.size() == 1, "the state is found");
    // [unreadable]
    pgstate::find_options options;
    options.unreadable = pgstate::on_unreadable::skip;
    auto readable = co_await store.find(query, options);
    for (const auto& each : readable.unreadable)
        std::cout << each.key.agent_id << ", " << each.key.session_id << ": " << each.reason << '\n';
    // [unreadable]
    expect(readable.size() == 1 && readable.unreadable.empty(), "the state can be read");
}

asio::awaitable<void> look_at_errors(pgstate::state_store& store) {
    const pgstate::agent_state state{"agent-1", "session-1"};
    // [errors]
    try {
        co_await store.save(state, {.if_unchanged = true});
    } catch (const pgstate::error& e) {
        if (e == pgstate::errc::conflict)
            std::cout << "now at version " << e.current_version().value() << '\n';
        if (e == pgstate::sqlstate::insufficient_privilege) std::cout << "ask for the right to write\n";
        if (e == pgstate::make_sqlstate("22001")) std::cout << "any other SQLSTATE\n";
        if (e == boost::asio::error::operation_aborted) std::cout << "cancelled\n";
    }
    // [errors]
}

asio::awaitable<void> watch(pgstate::postgres_store& store) {
    // [health]
    auto health = co_await store.health_check();
    std::cout << "PostgreSQL " << health.server_version << ", " << health.round_trip.count() << " us"
              << (health.read_only ? ", read-only" : "") << '\n';
    // [health]

    // [pool_stats]
    auto pool = store.pool().stats();
    std::cout << pool.acquired_conns << " of " << pool.max_conns << " connections in use, " << pool.waiters
              << " waiting; " << pool.empty_acquire_count << " waited so far\n";
    // [pool_stats]

    // [store_stats]
    auto stats = store.stats();
    std::cout << stats.mean_batch() << " operations in a statement, " << stats.queued << " queued\n";
    // [store_stats]
}

void production(pgstate::config& config) {
    // [unnamed]
    config.tuning.statements = pgstate::statement_mode::unnamed;
    // [unnamed]

    // [session_settings]
    config.session_settings = {{"app.tenant_id", "acme"}}; // agents are called "acme/..."
    // [session_settings]

    // [sweep]
    config.sweep = {.period = std::chrono::minutes(1)};
    // [sweep]

    // [verify]
    config.schema.migrate = pgstate::migrate_mode::verify;
    // [verify]
}

void print_schema(const pgstate::config& config) {
    // [schema_sql]
    std::cout << pgstate::postgres_store::schema_sql(config);
    // [schema_sql]
}

[[maybe_unused]] pgstate::config private_server() { // not run: every test here does it

    pgstate::config config;
    // [embedded]
    pgstate::embedded_server server; // needs PostgreSQL's programs; a temporary directory
    config.connection_string = server.connection_string();
    // [embedded]
    return config;
}

asio::awaitable<void> run(pgstate::config config) {
    print_schema(config);
    production(config);
    config.schema.migrate = pgstate::migrate_mode::apply;
    config.schema.checkpoints = true;
    auto store = co_await pgstate::postgres_store::open(co_await asio::this_coro::executor, config);
    co_await store.erase("agent-1", "session-1");
    co_await change_parts(store);
    co_await go_back(store);
    co_await save_twice(store);
    co_await read_in_part(store);
    co_await keep_in_rows(config);
    co_await search(store);
    co_await look_at_errors(store);
    co_await watch(store);
    co_await store.close();
}

} // namespace

int main(int argc, char** argv) {
    return run_example(argc, argv, run);
}
