// What changes single states: put, rm.
#include "command.hpp"
#include "documents.hpp"
#include "failure.hpp"
#include "input.hpp"
#include "text.hpp"
#include <pgstate/detail/document_check.hpp>
#include <pgstate/rfc3339.hpp>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json/object.hpp>

#include <pqxx/params>
#include <pqxx/result>
#include <pqxx/transaction_base>
#include <pqxx/zview>

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace pgstate::cli {
namespace {

[[noreturn]] void throw_refused(const std::string& name, const std::string& why) {
    throw failure(exit_code::failed, "put: " + name + " " + why);
}

/// What a put is to do. It is shared with a worker thread, which may go on when the program has given up.
struct put_work {
    explicit put_work(history_tables in) : tables(std::move(in)) {}
    history_tables tables;
    std::string text;
    std::optional<timestamp> expires_at; ///< as the document says
    agent_state state;
    save_options options;
    saved done;
};

/// The store gives the version and looks whether it may; the document then goes in as text, to the letter: once, and without
/// a copy in this program but libpq's.
void put_document(put_work& work, transaction& with) {
    work.done = with.save(work.state, work.options);
    if (!work.options.ttl) work.done.expires_at = work.expires_at;
    auto& sql = with.sql();
    auto tables = work.tables;
    tables.look(sql);
    const auto statement =
        "UPDATE " + tables.table + " AS t SET state = " + stored_document("$1::jsonb") +
        " || jsonb_build_object('agent_id', t.agent_id, 'session_id', t.session_id, 'version', t.version,"
        " 'created_at', " +
        time_as_text("created_at") + ", 'updated_at', " + time_as_text("updated_at") +
        "), expires_at = " + (work.options.ttl ? "t.expires_at" : "$4::timestamptz") +
        (tables.in_rows ? ", epoch = NULL, messages = NULL" : "") + // the history is in the document
        " WHERE t.agent_id = $2 AND t.session_id = $3 RETURNING t.expires_at <= now()";
    pqxx::params values(pqxx::zview(work.text), work.state.agent_id, work.state.session_id);
    if (!work.options.ttl && work.expires_at)
        values.append(to_rfc3339(*work.expires_at));
    else if (!work.options.ttl)
        values.append();
    const auto stored_as_given = sql.exec(statement, values);
    if (stored_as_given.empty())
        throw error(
            errc::schema_mismatch, "put",
            "the document was not stored: a trigger, a rule or a row-level security policy of the table "
            "suppresses the write");
    if (stored_as_given[0][0].as<std::optional<bool>>().value_or(false))
        throw error(errc::invalid_argument, "put",
                    "the document's expires_at has passed; give a --ttl, or take it out");
}

void report_saved(const context& with, const saved& done) {
    if (!with.given.json) {
        if (with.screen.output) write_out("version ");
        write_out(std::to_string(done.version) + '\n');
        return;
    }
    boost::json::object line{{"agent_id", with.given.agent},
                             {"session_id", with.given.session},
                             {"version", done.version},
                             {"created_at", to_nearest_rfc3339(done.created_at)},
                             {"updated_at", to_nearest_rfc3339(done.updated_at)},
                             {"expires_at", nullptr}};
    if (done.expires_at) line["expires_at"] = to_nearest_rfc3339(*done.expires_at);
    write_json(line);
}

void ask_before_erasing(const context& with) {
    if (with.given.yes) return;
    if (!with.screen.input)
        throw failure(exit_code::usage, "rm: --all without a terminal to ask at needs --yes");
    std::cerr << "Erase every session of agent \"" << printable(with.given.agent) << "\"? [y/N] "
              << std::flush;
    std::string answer;
    std::getline(std::cin, answer);
    if (answer != "y" && answer != "yes") throw failure(exit_code::failed, "rm: nothing was erased");
}

struct erasure {
    std::int64_t erased = 0;
    std::int64_t kept = 0;              ///< the server refused to erase them
    std::optional<error> first_refusal; ///< in no particular order
};

/// Each session is erased by itself, in statements that they share: one that is protected keeps no other.
asio::awaitable<void> erase_page(const context& with, postgres_store& store, const session_page& page,
                                 erasure& so_far) {
    struct waiting {
        explicit waiting(const asio::any_io_executor& io)
            : last_one(io, asio::steady_timer::time_point::max()) {}
        asio::steady_timer last_one;
        std::size_t open = 0;
        std::vector<result<bool>> outcomes;
    };
    const auto wait = std::make_shared<waiting>(with.io); // outlives a caller who is cancelled
    wait->open = page.sessions.size();
    for (const auto& session : page)
        store.erase(with.given.agent, session.session_id, as_result([wait](result<bool> outcome) {
                        wait->outcomes.push_back(std::move(outcome));
                        if (--wait->open == 0) wait->last_one.cancel();
                    }));
    if (wait->open > 0) {
        boost::system::error_code ended;
        co_await wait->last_one.async_wait(asio::redirect_error(asio::use_awaitable, ended));
        if (wait->open > 0) throw error(ended, "erase"); // the program was interrupted
    }
    for (const auto& outcome : wait->outcomes) {
        if (outcome) {
            so_far.erased += *outcome ? 1 : 0;
            continue;
        }
        const auto& why = outcome.error();
        if (why.sqlstate().empty() && why != errc::schema_mismatch) throw why; // not about this session
        ++so_far.kept;
        if (!so_far.first_refusal) so_far.first_refusal = why;
    }
}

asio::awaitable<erasure> erase_all_of(const context& with, postgres_store& store) {
    constexpr std::size_t page_size = 1'000;
    erasure so_far;
    list_options options(page_size);
    do {
        const auto page = co_await store.list(with.given.agent, options);
        if (!page.sessions.empty()) co_await erase_page(with, store, page, so_far);
        options.after = page.next;
    } while (!options.after.empty());
    co_return so_far;
}

std::string sessions(std::int64_t count) {
    return std::to_string(count) + (count == 1 ? " session" : " sessions");
}

} // namespace

asio::awaitable<int> put(const context& with) {
    auto work = std::make_shared<put_work>(history_tables(with.given.settings));
    std::string name;
    {
        input from(with.io, with.given.file);
        name = from.name();
        work->text = co_await from.read_all();
    }
    // Before anything is sent: what no load could read.
    const detail::document_check check(work->text);
    if (const auto why = wrong_document(work->text, check); !why.empty()) throw_refused(name, why);
    work->expires_at = check.row.expires_at;

    work->state = agent_state(with.given.agent, with.given.session);
    work->state.version = with.given.if_version.value_or(0);
    work->options.if_unchanged = with.given.if_version.has_value();
    work->options.ttl = with.given.ttl;

    auto store = co_await with.open();
    auto function = [work](transaction& in) { put_document(*work, in); };
    const auto done = co_await store.transaction(std::move(function), as_result);
    if (!done) {
        const auto& e = done.error();
        if (e.sqlstate().starts_with("22")) {
            const auto why = co_await refusal_of_document(store, e);
            throw_refused(name, why);
        }
        throw e;
    }
    co_await store.close();
    report_saved(with, work->done);
    co_return exit_code::ok;
}

asio::awaitable<int> rm(const context& with) {
    const auto& given = with.given;
    if (given.all) ask_before_erasing(with);
    auto store = co_await with.open();
    erasure done;
    if (given.all) {
        done = co_await erase_all_of(with, store);
    } else {
        erase_options options;
        options.if_version = given.if_version;
        const bool one = co_await store.erase(given.agent, given.session, options);
        done.erased = one ? 1 : 0;
    }
    co_await store.close();
    if (given.json)
        write_json({{"erased", done.erased}});
    else if (given.all)
        std::cerr << "erased " << sessions(done.erased) << '\n';
    if (done.first_refusal)
        throw failure(exit_code_of(*done.first_refusal),
                      "rm: " + sessions(done.kept) +
                          " could not be erased; of one of them: " + message_of(*done.first_refusal));
    if (done.erased == 0)
        throw failure(exit_code::not_found,
                      "rm: " + (given.all
                                    ? "agent \"" + printable(given.agent) + "\" has no sessions"
                                    : "there is no such state: " + name_of(given.agent, given.session)));
    co_return exit_code::ok;
}

} // namespace pgstate::cli
