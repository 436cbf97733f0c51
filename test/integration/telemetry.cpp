// What a store tells its logger, its metrics and its tracer of the work it does, faults included.

#include "integration/store_support.hpp"
#include "support/recorded.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

using namespace pgstate_test;
using namespace std::chrono_literals;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::log_level;

struct recorders {
    std::shared_ptr<recorded_log> log = std::make_shared<recorded_log>();
    std::shared_ptr<recorded_metrics> metrics = std::make_shared<recorded_metrics>();
    std::shared_ptr<recorded_trace> trace = std::make_shared<recorded_trace>();

    pgstate::config config() const {
        pgstate::config told;
        told.logger = log;
        told.metrics = metrics;
        told.tracer = trace;
        return told;
    }
    std::size_t count(const std::string& key) const { return metrics->values(key).size(); }
    double sum(const std::string& key) const {
        const auto values = metrics->values(key);
        return std::accumulate(values.begin(), values.end(), 0.0);
    }
};

agent_state told_state(const std::string& session) {
    agent_state state("agent", session);
    state.data["step"] = 1;
    return state;
}

/// Starts `count` operations at once and waits for all; those that fail count as done.
template <class Start>
void all_at_once(asio::io_context& context, int count, Start start) {
    int left = count;
    for (int i = 0; i < count; ++i)
        start(i, [&left](auto&&...) { --left; });
    run_until(context, [&] { return left == 0; });
}

} // namespace

TEST_CASE("every operation is a span, a value in the histograms, and a record", "[telemetry]") {
    recorders told;
    {
        opened_store f("&pool_max_conns=2", told.config());
        f.wait(f.store.save(told_state("s")));
        f.wait(f.store.load("agent", "s"));
        f.wait(f.store.append("agent", "s", {}));
        f.wait(f.store.merge("agent", "s", pgstate::state_patch()));
        f.wait(f.store.increment("agent", "s", "/data/step", 1));
        f.wait(f.store.touch("agent", "s", 1h));
        f.wait(f.store.list("agent"));
        f.wait(f.store.count());
        f.wait(f.store.health_check());
        f.wait(f.store.erase("agent", "s"));
        f.wait(f.store.transaction([](pgstate::transaction& tx) {
            tx.save(told_state("t"));
            tx.load("agent", "t");
            tx.erase("agent", "t");
        }));
        f.on_pool("SELECT 1");
        f.context.run(); // what is told of the last statement
    }

    const std::vector<std::string> operations = {
        "open", "save",  "load",  "append",       "merge",       "increment",      "touch",
        "list", "count", "erase", "health_check", "transaction", "with_connection"};
    for (const auto& name : operations) {
        CAPTURE(name);
        const bool three = name == "save" || name == "load" || name == "erase"; // also in the transaction
        const auto spans = told.trace->all("pgstate." + name);
        REQUIRE(spans.size() == (three ? 2U : 1U));
        CHECK(told.count("db.client.operation.duration{db.operation.name=" + name + "}") == 1);
        const auto& operation =
            *std::ranges::find(spans, pgstate::span_kind::internal, &recorded_trace::finished::kind);
        CHECK(operation.error.empty());
        CHECK(operation.ended >= operation.began);
        CHECK(operation.attributes.at("db.system.name") == "postgresql");
        CHECK(operation.attributes.at("db.operation.name") == name);
        CHECK(operation.attributes.at("db.collection.name") == "agent_states");
        CHECK(!operation.attributes.at("db.namespace").empty());
    }

    // The times of one operation are in order, and its statement lies within it.
    const auto load = told.trace->all("pgstate.load").front();
    REQUIRE(load.events.size() >= 3);
    CHECK(std::ranges::is_sorted(load.events, {}, [](const auto& each) { return each.second; }));
    CHECK(load.events.front().second >= load.began);
    CHECK(load.events.back().second <= load.ended);
    for (const auto* event : {"pgstate.sent", "pgstate.answered", "pgstate.decoding"}) {
        CAPTURE(event);
        CHECK(std::ranges::any_of(load.events, [&](const auto& each) { return each.first == event; }));
    }
    bool found = false;
    for (const auto& statement : told.trace->all("SELECT agent_states")) {
        if (statement.parent != load.context) continue;
        found = true;
        CHECK(statement.kind == pgstate::span_kind::client);
        CHECK(statement.began >= load.began);
        CHECK(statement.ended <= load.ended);
        CHECK(statement.links.empty());
        CHECK(statement.attributes.at("db.response.returned_rows") == "1");
        CHECK(!statement.attributes.contains("db.operation.batch.size"));
        CHECK(!statement.attributes.at("server.address").empty());
    }
    CHECK(found);

    // Each statement says which; the pool's spans are of no table.
    CHECK(load.attributes.at("pgstate.statements") == "1");
    CHECK(!told.trace->all("pgstate.connect").front().attributes.contains("db.collection.name"));
    // Three operations had a connection to themselves, and the first statement tells of its own.
    CHECK(told.count("db.client.connection.wait_time") >= 4);

    // What belongs to what.
    CHECK(told.trace->all("pgstate.migrate").front().parent ==
          told.trace->all("pgstate.open").front().context);
    const auto transaction = told.trace->all("pgstate.transaction").front();
    CHECK(std::ranges::count(told.trace->all(), transaction.context, &recorded_trace::finished::parent) == 3);
    CHECK(!told.trace->all("pgstate.connect").empty());
    CHECK(told.count("db.client.connection.create_time") == told.trace->all("pgstate.connect").size());
    CHECK(told.log->all("connected").size() == told.trace->all("pgstate.connect").size());
    CHECK(told.log->all("operation").size() == operations.size());
}

TEST_CASE("the parent of an operation's span is the one that is named, or else the caller's own",
          "[telemetry]") {
    recorders told;
    opened_store f("&pool_max_conns=2", told.config());
    const auto caller = told.trace->start({.name = "caller", .at = std::chrono::steady_clock::now()});
    const auto named = told.trace->next();
    {
        const auto active = told.trace->activate(*caller);
        all_at_once(f.context, 2, [&](int i, auto done) {
            pgstate::load_options options;
            if (i == 0) options.parent = named;
            f.store.load("agent", "s", options, done);
        });
    }
    const auto loads = told.trace->all("pgstate.load");
    REQUIRE(loads.size() == 2);
    CHECK(std::ranges::count(loads, named, &recorded_trace::finished::parent) == 1);
    CHECK(std::ranges::count(loads, caller->context(), &recorded_trace::finished::parent) == 1);

    // A user's own spans in his function belong to the operation's.
    pgstate::span_context inside;
    f.wait(f.store.pool().with_connection([&](pqxx::connection&) { inside = told.trace->current(); }));
    CHECK(inside == told.trace->all("pgstate.with_connection").front().context);
}

TEST_CASE("a statement that many share is one span with a link to each", "[telemetry]") {
    recorders told;
    opened_store f("&pool_max_conns=1", told.config());
    constexpr int sharing = 40;
    all_at_once(f.context, sharing,
                [&](int i, auto done) { f.store.save(told_state(std::to_string(i)), done); });
    f.context.run();

    const auto saves = told.trace->all("pgstate.save");
    REQUIRE(saves.size() == sharing);
    std::size_t linked = 0;
    std::size_t largest = 0;
    for (const auto& statement : told.trace->all("INSERT agent_states")) {
        const auto size = statement.links.empty() ? 1 : statement.links.size();
        linked += size;
        largest = std::max(largest, size);
        if (size == 1) continue;
        CHECK(!statement.parent.valid());
        CHECK(statement.attributes.at("db.operation.batch.size") == std::to_string(size));
        for (const auto& link : statement.links)
            CHECK(std::ranges::count(saves, link, &recorded_trace::finished::context) == 1);
    }
    CHECK(linked == sharing);
    CHECK(largest > 1);
    CHECK(told.sum("pgstate.batch.size{db.operation.name=save}") == sharing);
    CHECK(told.count("pgstate.queue.wait{db.operation.name=save}") ==
          told.count("pgstate.batch.size{db.operation.name=save}"));
    CHECK(told.count("pgstate.statement.duration{db.operation.name=save}") ==
          told.count("pgstate.batch.size{db.operation.name=save}"));
    CHECK(told.count("db.client.connection.wait_time") > 0);
}

TEST_CASE("the metrics read what the store and its pool have of everything", "[telemetry]") {
    recorders told;
    {
        opened_store f("&pool_max_conns=3", told.config());
        all_at_once(f.context, 5,
                    [&](int i, auto done) { f.store.save(told_state(std::to_string(i)), done); });
        auto stale = told_state("0");
        stale.version = 1;
        f.wait(f.store.save(stale, {.if_unchanged = true}, as_result));
        const auto& read = *told.metrics;
        CHECK(read.read("db.client.connection.max") == 3);
        CHECK(read.read("db.client.connection.count{db.client.connection.state=idle}") +
                  read.read("db.client.connection.count{db.client.connection.state=used}") +
                  read.read("db.client.connection.count{db.client.connection.state=connecting}") ==
              static_cast<double>(f.store.pool().stats().total_conns));
        CHECK(read.read("db.client.connection.pending_requests") == 0);
        CHECK(read.read("pgstate.queue.depth") == 0);
        CHECK(read.read("pgstate.conflicts") == 1);
        const auto stats = f.store.stats();
        CHECK(stats.conflicts == 1);
        CHECK(stats.operations == 6);
        CHECK(stats.queued == 0);
        CHECK(read.read("pgstate.io{network.io.direction=transmit}") ==
              static_cast<double>(stats.bytes_sent));
        CHECK(read.read("pgstate.io{network.io.direction=receive}") ==
              static_cast<double>(stats.bytes_received));
        // One large document there and back.
        constexpr std::size_t large = 50'000;
        pgstate::agent_state state("agent", "large");
        state.data["text"] = std::string(large, 'x');
        f.wait(f.store.save(state));
        const auto sent = f.store.stats().bytes_sent - stats.bytes_sent;
        CHECK(sent > large);
        CHECK(sent < large + 1000);
        const auto before = f.store.stats().bytes_received;
        f.wait(f.store.load("agent", "large"));
        const auto received = f.store.stats().bytes_received - before;
        CHECK(received > large);
        CHECK(received < large + 1000);
        CHECK(told.count("db.client.operation.duration{db.operation.name=save,error.type=conflict}") == 1);
    }
    // The store is gone, and so is everything that read from it.
    for (const auto& key : told.metrics->keys())
        CHECK_THROWS(told.metrics->read(key));
}

TEST_CASE("a lost connection shows in the spans, the metrics and the log", "[telemetry]") {
    recorders told;
    opened_store f("&pool_max_conns=1", told.config());
    pqxx::connection observer(f.database);
    f.wait(f.store.save(told_state("s")));
    // The state is not there: so it cannot be told whether the write was applied.
    table_lock lock(f.database, "SHARE");
    outcome<pgstate::saved> saved;
    f.store.save(told_state("new"), as_result(saved.handler()));
    f.lose_waiting(observer);
    REQUIRE(saved.wait(f.context).has_error());
    lock.let_go();
    f.context.run();

    const auto saves = told.trace->all("pgstate.save");
    REQUIRE(saves.size() == 2);
    const auto& type = saves.back().error;
    CHECK(saves.back().attributes.at("error.type") == type);
    CHECK(saves.back().attributes.at("db.response.status_code") == "57P01");
    CHECK(told.count("db.client.operation.duration{db.operation.name=save,error.type=" + type + "}") == 1);
    CHECK(told.count("pgstate.statement.duration{db.operation.name=save,error.type=connection_lost}") == 1);
    const auto records = told.log->all("operation failed");
    REQUIRE(records.size() == 1);
    CHECK(records[0].level == log_level::warn);
    CHECK(records[0].attributes.at("error.type") == type);
    CHECK(records[0].attributes.at("db.response.status_code") == "57P01");
    CHECK(records[0].attributes.at("db.operation.name") == "save");
    CHECK(records[0].attributes.at("pgstate.agent.hash").size() == 16);
    CHECK(!records[0].attributes.contains("pgstate.agent.id"));
}

TEST_CASE("operations that are sent again are counted with the reason", "[telemetry]") {
    recorders told;
    opened_store f("&pool_max_conns=1", told.config());
    f.wait(f.store.load("agent", "s"));
    // Behind the store's back, as a pooler would: its prepared statements are gone.
    f.on_pool("DISCARD ALL");
    f.wait(f.store.load("agent", "s"));
    f.context.run();
    CHECK(told.sum("pgstate.retries{db.operation.name=load,pgstate.retry.reason=prepared_again}") == 1);
    CHECK(f.store.stats().retries == 1);
    const auto records = told.log->all("statement failed and is sent again");
    REQUIRE(records.size() == 1);
    CHECK(records[0].attributes.at("pgstate.retry.reason") == "prepared_again");
    CHECK(records[0].attributes.at("db.response.status_code") == "26000");
    CHECK(told.trace->all("pgstate.load").back().attributes.at("pgstate.statements") == "2");
}

TEST_CASE("a slow operation is logged once, with where its time went", "[telemetry]") {
    recorders told;
    auto config = told.config();
    config.telemetry.slow_operation = 20ms;
    config.telemetry.log_ids = true;
    opened_store f("&pool_max_conns=1", config);
    pqxx::connection observer(f.database);
    f.wait(f.store.save(told_state("s")));
    const auto slow_before = told.log->all("slow operation").size();
    row_lock lock(f.database, "agent", "s");
    outcome<pgstate::saved> saved;
    f.store.save(told_state("s"), as_result(saved.handler()));
    const auto began = std::chrono::steady_clock::now();
    f.wait_until(observer, somebody_waits_for_a_lock);
    // Longer than all before, so that the server has most of it.
    const auto until_then = began + 40ms + 3 * (std::chrono::steady_clock::now() - began);
    while (std::chrono::steady_clock::now() < until_then)
        f.context.run_for(1ms);
    lock.let_go();
    saved.wait(f.context);

    const auto records = told.log->all("slow operation");
    REQUIRE(records.size() == slow_before + 1);
    const auto& said = records.back().attributes;
    CHECK(records.back().level == log_level::warn);
    CHECK(said.at("pgstate.slow.cause") == "database");
    CHECK(said.at("pgstate.statement.name").starts_with("pgstate_save"));
    CHECK(said.at("db.query.summary") == "INSERT agent_states");
    CHECK(said.at("pgstate.agent.id") == "agent");
    CHECK(said.at("pgstate.session.id") == "s");
    const auto total = std::stod(said.at("duration"));
    CHECK(total >= 0.04);
    const auto parts = std::stod(said.at("pgstate.queue.wait")) + std::stod(said.at("pgstate.server.time")) +
                       std::stod(said.at("pgstate.delivery.time"));
    CHECK(std::abs(parts - total) < 1e-4);
}

TEST_CASE("a slow function of the user's is not taken for a wait in the queue", "[telemetry]") {
    recorders told;
    auto config = told.config();
    config.telemetry.slow_operation = 30ms;
    opened_store f("&pool_max_conns=1", config);
    const auto before = told.log->all("slow operation").size();
    f.on_pool("SELECT pg_sleep(0.2)");
    const auto records = told.log->all("slow operation");
    REQUIRE(records.size() == before + 1);
    CHECK(records.back().attributes.at("pgstate.slow.cause") == "function");
    CHECK(std::stod(records.back().attributes.at("pgstate.function.time")) >= 0.2);
}

TEST_CASE("a statement in a transaction that is refused ends its span with the SQLSTATE", "[telemetry]") {
    recorders told;
    opened_store f("&pool_max_conns=1", told.config());
    run_on(f.database, "ALTER TABLE agent_states ADD CHECK (session_id <> 'refused')");
    const auto refused = f.wait(
        f.store.transaction([](pgstate::transaction& tx) { tx.save(told_state("refused")); }, as_result));
    CHECK(refused.error().sqlstate() == "23514");
    const auto save = told.trace->all("pgstate.save").front();
    CHECK(save.error == "23514");
    CHECK(save.attributes.at("db.response.status_code") == "23514");
    CHECK(!save.attributes.at("server.address").empty());
    CHECK(told.trace->all("pgstate.transaction").front().error == "23514");
}

TEST_CASE("failed connects are counted by their reason", "[telemetry]") {
    recorders told;
    auto config = told.config();
    config.connection_string = server().connection_string("not_there");
    open_failure(config);
    CHECK(told.sum("pgstate.connect.failures{error.type=3D000}") >= 1);
    const auto records = told.log->all("connect failed");
    REQUIRE(!records.empty());
    CHECK(records[0].attributes.at("error.type") == "3D000");
    CHECK(told.trace->all("pgstate.connect").front().error == "3D000");
    CHECK(told.trace->all("pgstate.open").front().error == "unavailable");
}

TEST_CASE("neither a password nor a state's content is ever told", "[telemetry]") {
    constexpr auto canary = "canary-7f3a";
    recorders told;
    auto config = told.config();
    config.telemetry.slow_operation = 1ms;
    config.telemetry.log_ids = true;
    config.connection_string = server().tcp_connection_string(fresh_database_name());
    {
        opened_store f("", config);
        const auto state = [&](const std::string& session) {
            agent_state made("agent", session);
            made.data["secret"] = canary;
            made.context[canary] = 1;
            made.history.emplace_back("user", canary);
            return made;
        };
        all_at_once(f.context, 20, [&](int i, auto done) { f.store.save(state(std::to_string(i)), done); });
        run_on(f.database, "ALTER TABLE agent_states ADD CHECK (session_id <> 'refused')");
        all_at_once(f.context, 3, [&](int i, auto done) {
            f.store.save(state(i == 1 ? "refused" : std::to_string(i)), as_result(done));
        });
        run_on(f.database,
               std::string("UPDATE agent_states SET state = '\"") + canary + "\"' WHERE session_id = '5'");
        f.wait(f.store.load("agent", "5", as_result));
        const auto says = [&](pgstate::transaction&) {
            throw std::runtime_error(std::string("a user says ") + canary);
        };
        f.wait(f.store.transaction(says, as_result));
        f.context.run();
    }
    CHECK(told.log->all("operation failed").size() + told.log->all("slow operation failed").size() >= 3);

    auto everything = told.log->text() + told.trace->text();
    for (const auto& each : told.metrics->keys())
        everything.append(each).append("\n");
    const auto at = config.connection_string.find('@');
    const auto colon = config.connection_string.rfind(':', at);
    const auto password = config.connection_string.substr(colon + 1, at - colon - 1);
    REQUIRE(password.size() > 8);
    CHECK(everything.find(password) == std::string::npos);
    CHECK(everything.find(canary) == std::string::npos);
}
