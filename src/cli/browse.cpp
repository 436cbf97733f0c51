// What is there: ls, get, diff, tail.
#include "command.hpp"
#include "documents.hpp"
#include "failure.hpp"
#include "pages.hpp"
#include "text.hpp"
#include <pgstate/rfc3339.hpp>

#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include <nlohmann/json.hpp>
#include <pqxx/nontransaction>

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pgstate::cli {
namespace {

boost::json::object members_of(const agent_info& agent) {
    return {{"agent_id", agent.agent_id},
            {"sessions", agent.sessions},
            {"updated_at", to_nearest_rfc3339(agent.updated_at)}};
}

/// Of a session_info or an agent_state.
template <class Session>
boost::json::object members_of(const std::string& agent, const Session& session) {
    return {{"agent_id", agent},
            {"session_id", session.session_id},
            {"version", session.version},
            {"created_at", to_nearest_rfc3339(session.created_at)},
            {"updated_at", to_nearest_rfc3339(session.updated_at)}};
}

/// The changes that `tail` has shown, or that were there before it began, for as long as they could be found again.
class seen_changes {
public:
    explicit seen_changes(timestamp now) : looked_at_(now) {}

    /// True if this version of the state is new here.
    bool add(const agent_state& state) {
        auto& last = seen_[{state.agent_id, state.session_id}];
        return std::exchange(last, {state.version, state.updated_at}).first != state.version;
    }

    /// True the first time.
    bool add_unreadable(const state_key& key) { return unreadable_.insert(key).second; }

    /// Where to look from, by the server's clock: a row can have any time. Times are those of the beginning of a
    /// transaction, which can show up late.
    timestamp from() const { return looked_at_ - late; }

    /// After everything was looked at that was there at `now`.
    void looked_at(timestamp now) {
        looked_at_ = now;
        std::erase_if(seen_, [this](const auto& each) { return each.second.second < from(); });
    }

private:
    static constexpr std::chrono::seconds late{10};

    std::map<state_key, std::pair<std::int64_t, timestamp>> seen_;
    std::set<state_key> unreadable_;
    timestamp looked_at_;
};

void show_change(const context& with, const agent_state& state) {
    const auto updated = to_nearest_rfc3339(state.updated_at);
    if (with.given.json)
        write_json(members_of(state.agent_id, state));
    else if (with.screen.output)
        write_out(with.screen.painted(updated, "2") + "  " + printable(state.agent_id) + "  " +
                  with.screen.painted(printable(state.session_id), "1") + "  " +
                  std::to_string(state.version) + '\n');
    else
        write_out(updated + '\t' + printable(state.agent_id) + '\t' + printable(state.session_id) + '\t' +
                  std::to_string(state.version) + '\n');
}

asio::awaitable<timestamp> server_time(postgres_store& store) {
    co_return co_await store.pool().with_connection([](pqxx::connection& connection) {
        pqxx::nontransaction sql(connection);
        const auto rows = sql.exec("SELECT (extract(epoch FROM now()) * 1000000)::bigint");
        return timestamp(std::chrono::microseconds(rows[0][0].as<std::int64_t>()));
    });
}

/// Looks once at everything that may have changed.
asio::awaitable<void> look_for_changes(const context& with, postgres_store& store, seen_changes& seen,
                                       bool show) {
    const auto now = co_await server_time(store);
    state_query query;
    query.agent_id = with.given.agent;
    query.order = find_order::updated_ascending;
    query.updated.from = seen.from();
    find_options options(find_options::max_limit);
    options.documents = false;
    if (with.given.skip_unreadable) options.unreadable = on_unreadable::skip;
    do {
        const auto page = co_await store.find(query, options);
        for (const auto& state : page)
            if (seen.add(state) && show) show_change(with, state);
        for (const auto& each : page.unreadable)
            if (seen.add_unreadable(each.key)) report_skipped(each.key, each.reason);
        options.after = page.next;
    } while (!options.after.empty());
    seen.looked_at(now);
    flush_out();
}

/// The document of a state that is there. \param version  of a checkpoint; nothing: as it is now
asio::awaitable<std::string> document_at(const context& with, postgres_store& store,
                                         std::optional<std::int64_t> version) {
    const state_key key(with.given.agent, with.given.session);
    const history_tables tables(with.given.settings);
    auto read = [tables, key, version](pqxx::connection& connection) {
        pqxx::nontransaction sql(connection);
        return read_document(sql, tables, key, version);
    };
    auto found = co_await store.pool().with_connection(std::move(read));
    if (!found)
        throw failure(exit_code::not_found,
                      "there is no such state: " + name_of(key.agent_id, key.session_id) +
                          (version ? ", or no checkpoint of version " + std::to_string(*version) : ""));
    if (!found->refusal.empty())
        throw failure(exit_code::failed, name_of(key.agent_id, key.session_id) + ": " + found->refusal);
    co_return std::move(found->json);
}

/// What a save can change of a document.
nlohmann::json content_of(const context& with, const std::string& document) {
    try {
        auto content = nlohmann::json::parse(document);
        for (const auto* column :
             {"agent_id", "session_id", "version", "created_at", "updated_at", "expires_at"})
            content.erase(column);
        return content;
    } catch (const nlohmann::json::out_of_range&) { // its message has the number
        throw failure(exit_code::failed, name_of(with.given.agent, with.given.session) +
                                             " has a number that no double holds; compare what 'get' prints");
    }
}

} // namespace

asio::awaitable<int> ls(const context& with) {
    auto store = co_await with.open();
    const auto& agent = with.given.agent;
    if (agent.empty()) {
        const table_writer::row heading{"AGENT", "SESSIONS", "UPDATED"};
        const auto fetch = [&](const list_options& options) { return store.list_agents(options); };
        const auto describe = [](const agent_info& each) { return members_of(each); };
        co_await show_pages(with, heading, fetch, describe);
    } else {
        const table_writer::row heading{"SESSION", "VERSION", "CREATED", "UPDATED"};
        const auto fetch = [&](const list_options& options) { return store.list(agent, options); };
        const auto describe = [&](const session_info& each) { return members_of(agent, each); };
        co_await show_pages(with, heading, fetch, describe);
    }
    co_await store.close();
    co_return exit_code::ok;
}

asio::awaitable<int> get(const context& with) {
    auto store = co_await with.open();
    const auto document = co_await document_at(with, store, with.given.at);
    co_await store.close();
    const bool for_people = with.screen.output && !with.given.json;
    write_out((for_people ? pretty(document, with.screen.colored) : document) + '\n');
    co_return exit_code::ok;
}

asio::awaitable<int> diff(const context& with) {
    auto store = co_await with.open();
    const auto before = content_of(with, co_await document_at(with, store, with.given.at));
    const auto after = content_of(with, co_await document_at(with, store, with.given.until));
    co_await store.close();
    const auto operations = nlohmann::json::diff(before, after);
    if (with.given.json || !with.screen.output) {
        write_out(operations.dump() + '\n');
        co_return exit_code::ok;
    }
    for (const auto& each : operations) // a long history is not indented over thousands of lines
        write_out(each.dump() + '\n');
    co_return exit_code::ok;
}

asio::awaitable<int> tail(const context& with) {
    auto store = co_await with.open();
    seen_changes seen(co_await server_time(store));
    co_await look_for_changes(with, store, seen, false);
    asio::steady_timer pause(with.io);
    for (;;) {
        pause.expires_after(with.given.interval);
        co_await pause.async_wait(asio::use_awaitable);
        co_await look_for_changes(with, store, seen, true);
    }
}

} // namespace pgstate::cli
