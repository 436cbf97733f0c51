// The table and the server: migrate, schema, doctor.
#include "checks.hpp"
#include "command.hpp"
#include "facts.hpp"
#include "failure.hpp"
#include "text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace pgstate::cli {
namespace {

/// What a migration would do, or has done.
void report_migration(const context& with, const schema_report& report, bool applied) {
    if (with.given.json) {
        using boost::json::value_from;
        return write_json({{"current", applied ? report.refusals.empty() : report.current()},
                           {"applied", applied},
                           {"missing", value_from(report.missing)},
                           {"refusals", value_from(report.refusals)},
                           {"statements", value_from(report.statements)}});
    }
    if (report.current()) return write_out("the table is up to date\n");
    for (const auto& refusal : report.refusals)
        write_out("-- in the way: " + printable(refusal) + '\n');
    for (const auto& missing : report.missing)
        write_out("-- " + printable(missing) + '\n');
    for (const auto& statement : report.statements)
        write_out(statement + ";\n");
    if (applied) write_out("-- applied\n");
}

asio::awaitable<schema_report> inspect(const context& with, postgres_store& store) {
    auto settings = std::make_shared<const config>(with.given.settings);
    auto look = [settings](pqxx::connection& connection) {
        return postgres_store::inspect_schema(connection, *settings);
    };
    co_return co_await store.pool().with_connection(std::move(look));
}

void show_finding(const context& with, std::string_view name, const finding& what) {
    const auto [status, color] = name_and_color(what.status);
    if (!with.screen.output)
        return write_out(std::string(status) + '\t' + std::string(name) + '\t' + printable(what.found) +
                         '\t' + printable(what.what_to_do) + '\n');
    std::string line = with.screen.painted(status, color);
    line.append(9 - status.size(), ' ').append(name).append(": ").append(printable(what.found)).append("\n");
    if (!what.what_to_do.empty())
        line.append(9, ' ').append("-> ").append(printable(what.what_to_do)).append("\n");
    write_out(line);
}

boost::json::object to_json(std::string_view name, const finding& what) {
    boost::json::object line{
        {"check", name}, {"status", name_and_color(what.status).first}, {"found", what.found}};
    line["what_to_do"] = what.what_to_do.empty() ? boost::json::value() : boost::json::value(what.what_to_do);
    return line;
}

/// Reads every state as a program does, for as long as one operation may take.
asio::awaitable<std::optional<rows_seen>> look_at_rows(const context& with, postgres_store& store) {
    using clock = std::chrono::steady_clock;
    constexpr std::size_t most_named = 5;
    const auto limit = with.given.settings.operation_timeout;
    const auto began = clock::now();
    const auto settings = std::make_shared<const config>(with.given.settings);
    std::optional<rows_seen> seen;
    for (std::optional<state_key> after;;) {
        auto look = [settings, after](pqxx::connection& connection) {
            return keys_behind(connection, *settings, after);
        };
        const auto keys = co_await store.pool().with_connection(std::move(look), as_result);
        if (!keys) co_return seen;
        if (!seen) seen.emplace();
        if (keys->empty()) {
            seen->all = true;
            co_return seen;
        }
        const bool all_readable = (co_await store.load_all(*keys, as_result)).has_value();
        for (const auto& key : *keys) {
            if (limit.count() > 0 && clock::now() - began > limit) co_return seen;
            if (!all_readable) { // one by one: which?
                const auto state = co_await store.load(key.agent_id, key.session_id, as_result);
                const bool unreadable = !state && (state.error() == errc::corrupt_state ||
                                                   state.error() == errc::invalid_argument);
                if (!state && !unreadable) co_return seen;
                if (unreadable && ++seen->unreadable <= static_cast<std::int64_t>(most_named))
                    seen->which.push_back(name_of(key.agent_id, key.session_id) + ": " +
                                          state.error().what());
            }
            ++seen->read;
        }
        after = keys->back();
    }
}

/// Shows what the checks say; true if there is a problem.
bool report_findings(const context& with, const facts& read) {
    bool problems = false;
    boost::json::array all;
    for (const auto& each : checks()) {
        const auto what = each.look(read);
        if (!what) continue;
        problems = problems || what->status == severity::problem;
        if (with.given.json)
            all.push_back(to_json(each.name, *what));
        else
            show_finding(with, each.name, *what);
    }
    if (with.given.json) write_json(all);
    return problems;
}

} // namespace

asio::awaitable<int> migrate(const context& with) {
    auto store = co_await with.open();
    const auto report = co_await inspect(with, store);
    const bool apply = !with.given.dry_run && report.refusals.empty() && !report.current();
    if (apply) {
        auto settings = with.given.settings;
        settings.schema.migrate = migrate_mode::apply;
        auto migrated = co_await postgres_store::open(with.io, settings);
        co_await migrated.close();
    }
    co_await store.close();
    report_migration(with, report, apply);
    if (!report.refusals.empty())
        throw failure(exit_code::failed,
                      "migrate: the table is not one that pgstate can use; nothing was changed");
    co_return exit_code::ok;
}

asio::awaitable<int> schema(const context& with) {
    const auto sql = postgres_store::schema_sql(with.given.settings);
    if (with.given.json)
        write_json({{"sql", sql}});
    else
        write_out(sql);
    co_return exit_code::ok;
}

asio::awaitable<int> doctor(const context& with) {
    auto opened = co_await postgres_store::open(with.io, with.given.settings, as_result);
    if (!opened) {
        const finding down{severity::problem, message_of(opened.error()),
                           "see that the server runs, and what the connection string says"};
        if (with.given.json)
            write_json(boost::json::array{to_json("connection", down)});
        else
            show_finding(with, "connection", down);
        co_return exit_code_of(opened.error());
    }
    auto store = std::move(*opened);
    const auto health = co_await store.health_check();
    auto settings = std::make_shared<const config>(with.given.settings);
    auto read = [settings, mend = with.given.mend](pqxx::connection& connection) {
        auto found = read_facts(connection, *settings);
        if (!mend || !found.exists || !found.refusals.empty()) return found;
        advance_versions(connection, *settings);
        return read_facts(connection, *settings);
    };
    auto found = co_await store.pool().with_connection(std::move(read));
    if (found.exists && found.refusals.empty() && found.missing.empty())
        found.rows = co_await look_at_rows(with, store);
    found.round_trip = health.round_trip;
    found.server_version = health.server_version;
    found.pool_size = health.pool.max_conns;
    co_await store.close();
    co_return report_findings(with, found) ? exit_code::failed : exit_code::ok;
}

} // namespace pgstate::cli
