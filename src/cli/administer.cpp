// The table and the server: migrate, schema, doctor.
#include "checks.hpp"
#include "command.hpp"
#include "facts.hpp"
#include "failure.hpp"
#include "moving.hpp"
#include "text.hpp"

#include <boost/json/array.hpp>
#include <boost/json/value_from.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace pgstate::cli {
namespace {

constexpr std::size_t most_listed_as_left = 100;

const char* layout_name(history_layout layout) {
    return layout == history_layout::rows ? "rows" : "document";
}

boost::json::object to_json(const moved_histories& moved, std::int64_t left, history_layout to) {
    boost::json::array named;
    for (const auto& each : moved.left)
        named.push_back(
            {{"agent_id", each.key.agent_id}, {"session_id", each.key.session_id}, {"reason", each.why}});
    return {{"layout", layout_name(to)},        {"states", moved.states}, {"messages", moved.messages},
            {"checkpoints", moved.checkpoints}, {"left", left},           {"left_states", std::move(named)}};
}

std::string in_words(const moved_histories& moved, history_layout to) {
    const auto number = [](std::int64_t count, const char* of) {
        return grouped(count) + " " + of + (count == 1 ? "" : "s");
    };
    auto text = "-- moved to " + std::string(layout_name(to)) + ": the histories of " +
                number(moved.states, "state") + ", " + number(moved.messages, "message");
    if (to == history_layout::document) text += ", and those of " + number(moved.checkpoints, "checkpoint");
    return text + '\n';
}

/// Moves the histories of all states, and names those that stay.
/// \param left  how many these are; the answer has no more than the report lists
asio::awaitable<moved_histories> move_histories(const context& with, postgres_store& store,
                                                std::int64_t& left) {
    const auto tables = co_await find_histories(store, with.given.settings);
    moved_histories all;
    if (!tables.in_rows) co_return all; // there are none in rows
    constexpr std::size_t usual_batch = 500;
    const history_mover mover(tables, *with.given.history, with.given.batch.value_or(usual_batch));
    std::int64_t whole = 0;
    if (with.screen.errors) {
        count_options roughly;
        roughly.estimate = true;
        whole = std::max<std::int64_t>(co_await store.count(roughly), 0);
    }
    progress shown(with.screen.errors);
    std::int64_t looked_at = 0;
    for (std::optional<state_key> after;;) {
        auto move = [mover, after](pqxx::connection& connection) {
            return mover.move_next(connection, after);
        };
        auto batch = co_await store.pool().with_connection(std::move(move));
        if (!batch.last) co_return all;
        after = std::move(batch.last);
        looked_at += batch.looked_at;
        all.states += batch.done.states;
        all.messages += batch.done.messages;
        all.checkpoints += batch.done.checkpoints;
        for (auto& each : batch.done.left) {
            shown.clear();
            std::cerr << "pgstate: left as it is: " << name_of(each.key.agent_id, each.key.session_id) << ": "
                      << each.why << '\n';
            if (++left <= static_cast<std::int64_t>(most_listed_as_left)) all.left.push_back(std::move(each));
        }
        shown.show(looked_at, static_cast<std::uint64_t>(looked_at), static_cast<std::uint64_t>(whole));
    }
}

/// What a migration would do, or has done.
/// \param history  what became of histories; null: none were to be moved
void report_migration(const context& with, const schema_report& report, bool applied,
                      const boost::json::value& history) {
    if (with.given.json) {
        using boost::json::value_from;
        return write_json({{"current", applied ? report.refusals.empty() : report.current()},
                           {"applied", applied},
                           {"missing", value_from(report.missing)},
                           {"refusals", value_from(report.refusals)},
                           {"statements", value_from(report.statements)},
                           {"history", history}});
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
    const auto& to = with.given.history;
    auto store = co_await with.open();
    const auto report = co_await inspect(with, store);
    const bool apply = !with.given.dry_run && report.refusals.empty() && !report.current();
    if (apply) {
        auto settings = with.given.settings;
        settings.schema.migrate = migrate_mode::apply;
        auto migrated = co_await postgres_store::open(with.io, settings);
        co_await migrated.close();
    }
    boost::json::value history;
    if (!with.given.json) report_migration(with, report, apply, history);
    std::int64_t left = 0;
    if (to && !with.given.dry_run && report.refusals.empty()) {
        flush_out();
        const auto moved = co_await move_histories(with, store, left);
        if (with.given.json)
            history = to_json(moved, left, *to);
        else
            write_out(in_words(moved, *to));
    } else if (to && report.refusals.empty() && !with.given.json) {
        write_out("-- histories would be moved to " + std::string(layout_name(*to)) + '\n');
    }
    co_await store.close();
    if (with.given.json) report_migration(with, report, apply, history);
    if (!report.refusals.empty())
        throw failure(exit_code::failed,
                      "migrate: the table is not one that pgstate can use; nothing was changed");
    if (left > 0)
        throw failure(exit_code::failed, "migrate: the histories of " + grouped(left) +
                                             (left == 1 ? " state" : " states") + " were left as they are");
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
        if (found.policies != facts::row_security::applies) delete_orphans(connection, *settings);
        return read_facts(connection, *settings);
    };
    auto found = co_await store.pool().with_connection(std::move(read));
    found.pool_size = health.pool.max_conns;
    if (found.exists && found.refusals.empty() && found.missing.empty()) {
        if (found.histories_in_rows) {
            co_await store.close();
            store = co_await open_with_histories(with, with.given.settings);
        }
        found.rows = co_await look_at_rows(with, store);
    }
    found.round_trip = health.round_trip;
    found.server_version = health.server_version;
    co_await store.close();
    co_return report_findings(with, found) ? exit_code::failed : exit_code::ok;
}

} // namespace pgstate::cli
