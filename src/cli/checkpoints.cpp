// What states were: checkpoint, checkpoints, restore, fork, prune.
#include "command.hpp"
#include "failure.hpp"
#include "histories.hpp"
#include "pages.hpp"
#include "text.hpp"
#include <pgstate/checkpoint.hpp>
#include <pgstate/rfc3339.hpp>

#include <boost/json/object.hpp>

#include <string>
#include <utility>

namespace pgstate::cli {
namespace {

/// `open` checks no table here (migrate_mode::off): a missing one is reported by the server.
asio::awaitable<postgres_store> open_with_checkpoints(const context& with) {
    auto settings = with.given.settings;
    settings.schema.checkpoints = true;
    co_return co_await open_with_histories(with, std::move(settings));
}

boost::json::object members_of(const context& with, const checkpoint_info& each) {
    return {{"agent_id", with.given.agent},
            {"session_id", with.given.session},
            {"version", each.version},
            {"messages", each.messages},
            {"created_at", to_nearest_rfc3339(each.created_at)},
            {"label", each.label}};
}

void report_version(const context& with, const std::string& session, std::int64_t version) {
    if (with.given.json)
        write_json(boost::json::object{
            {"agent_id", with.given.agent}, {"session_id", session}, {"version", version}});
    else
        write_out((with.screen.output ? "version " : "") + std::to_string(version) + '\n');
}

} // namespace

asio::awaitable<int> checkpoint(const context& with) {
    auto store = co_await open_with_checkpoints(with);
    checkpoint_options options;
    options.label = with.given.label;
    const auto made = co_await store.checkpoint(with.given.agent, with.given.session, options);
    co_await store.close();
    if (with.given.json)
        write_json(members_of(with, made));
    else
        report_version(with, with.given.session, made.version);
    co_return exit_code::ok;
}

asio::awaitable<int> checkpoints(const context& with) {
    auto store = co_await open_with_checkpoints(with);
    const table_writer::row heading{"VERSION", "MESSAGES", "CREATED", "LABEL"};
    const auto fetch = [&](const list_options& options) {
        return store.checkpoints(with.given.agent, with.given.session, options);
    };
    const auto describe = [&](const checkpoint_info& each) { return members_of(with, each); };
    co_await show_pages(with, heading, fetch, describe);
    co_await store.close();
    co_return exit_code::ok;
}

asio::awaitable<int> restore(const context& with) {
    auto store = co_await open_with_checkpoints(with);
    restore_options options;
    options.if_version = with.given.if_version;
    const auto done = co_await store.restore(with.given.agent, with.given.session, *with.given.at, options);
    co_await store.close();
    report_version(with, with.given.session, done.version);
    co_return exit_code::ok;
}

asio::awaitable<int> fork(const context& with) {
    auto store = co_await open_with_checkpoints(with);
    fork_options options;
    options.at = with.given.at;
    options.ttl = with.given.ttl;
    const auto done =
        co_await store.fork(with.given.agent, with.given.session, with.given.new_session, options);
    co_await store.close();
    report_version(with, with.given.new_session, done.version);
    co_return exit_code::ok;
}

asio::awaitable<int> prune(const context& with) {
    auto store = co_await open_with_checkpoints(with);
    prune_options options;
    options.keep = with.given.keep.value_or(0);
    options.older_than = with.given.older_than.value_or(std::chrono::milliseconds(0));
    const auto gone = co_await store.prune(with.given.agent, with.given.session, options);
    co_await store.close();
    if (with.given.json)
        write_json({{"pruned", gone}});
    else
        write_out(std::to_string(gone) + '\n');
    co_return exit_code::ok;
}

} // namespace pgstate::cli
