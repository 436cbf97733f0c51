// Many states at once: export, import.
#include "command.hpp"
#include "documents.hpp"
#include "export_file.hpp"
#include "failure.hpp"
#include "import_batch.hpp"
#include "input.hpp"
#include "text.hpp"

#include <pqxx/nontransaction>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pgstate::cli {
namespace {

/// The key that an interrupted export has come to.
state_key resume_key(const export_file& to, const std::string& agent) {
    const detail::document_check last(to.last_line());
    state_key key(last.row.agent_id, last.row.session_id);
    if (!wrong_document(to.last_line(), last).empty() || !wrong_key(key).empty())
        throw failure(exit_code::failed,
                      "export: the last line of the file is no state; nothing was written");
    if (!agent.empty() && key.agent_id != agent)
        throw failure(exit_code::usage, "export: the file is of another agent; nothing was written");
    return key;
}

/// The lines of a page. \param skipped  counts what is left out
std::string lines_of(const context& with, const std::vector<document>& page, progress& shown,
                     std::int64_t& skipped) {
    std::string lines;
    for (const auto& each : page) {
        const auto why = !each.refusal.empty() ? each.refusal
                                               : wrong_document(each.json, detail::document_check(each.json));
        if (why.empty()) {
            lines.append(each.json).append("\n");
            continue;
        }
        if (!with.given.skip_unreadable)
            throw failure(exit_code::failed, name_of(each.key.agent_id, each.key.session_id) + ": " + why +
                                                 "; --skip-unreadable leaves it out");
        shown.clear();
        report_skipped(each.key, why);
        ++skipped;
    }
    return lines;
}

/// About how many states there are, for the progress.
asio::awaitable<std::uint64_t> estimate(const context& with, postgres_store& store) {
    if (!with.screen.errors) co_return 0;
    count_options roughly;
    roughly.estimate = true;
    const auto number = with.given.agent.empty() ? co_await store.count(roughly)
                                                 : co_await store.count(with.given.agent, roughly);
    co_return static_cast<std::uint64_t>(std::max<std::int64_t>(number, 0));
}

/// Reads states and groups them into statements.
class importer {
public:
    importer(const context& with, postgres_store& store)
        : store_(store), from_(with.io, with.given.file), progress_(with.screen.errors),
          batch_(history_tables(with.given.settings), with.given.conflict) {}

    /// A file is read twice, so that no line is imported if one is refused. What comes through a pipe cannot be.
    asio::awaitable<void> run() {
        if (from_.rewind()) {
            co_await for_each_line([](std::string&&, const detail::row_members&, std::size_t) {});
            from_.rewind();
        }
        co_await for_each_line([this](std::string&& text, const detail::row_members& row,
                                      std::size_t number) { batch_.add(std::move(text), row, number); });
        if (!batch_.empty()) co_await send();
    }

    const import_counts& counts() const noexcept { return counts_; }

private:
    template <class Take>
    asio::awaitable<void> for_each_line(Take take) {
        for (std::size_t number = 1;; ++number) {
            auto line = co_await from_.read_line();
            if (!line) co_return;
            if (line->text.empty()) continue;
            take(std::move(line->text), check(*line, number), number);
            if (batch_.full()) co_await send();
        }
    }

    /// What is wrong with a line is said before those before it are sent.
    detail::row_members check(const input::line& line, std::size_t number) const {
        detail::document_check found(line.text);
        auto refusal = wrong_document(line.text, found);
        if (refusal.empty()) refusal = wrong_key({found.row.agent_id, found.row.session_id});
        if (refusal.empty()) return std::move(found.row);
        if (!line.whole) refusal += "; an export that was interrupted goes on with 'pgstate export --resume'";
        throw failure(exit_code::failed, place(number) + " " + refusal);
    }

    asio::awaitable<void> send() {
        auto lines = std::make_shared<const import_batch>(std::exchange(batch_, batch_.next()));
        auto whole = [lines](pqxx::connection& connection) { return lines->write(connection); };
        auto done = co_await store_.pool().with_connection(std::move(whole), as_result);
        if (!done && lines->may_hold_a_culprit(done.error())) {
            const auto culprit = std::make_shared<std::atomic<std::size_t>>();
            auto one_by_one = [lines, culprit](pqxx::connection& connection) {
                return lines->write(connection, culprit.get());
            };
            done = co_await store_.pool().with_connection(std::move(one_by_one), as_result);
            if (!done) co_await throw_refused(done.error(), *culprit);
        }
        counts_ += done.value();
        progress_.show(counts_.lines, from_.bytes_read(), from_.size());
    }

    asio::awaitable<void> throw_refused(const error& e, std::size_t number) {
        if (e == errc::conflict)
            throw failure(exit_code::conflict,
                          place(number) +
                              " is of a state that is there already, and differs; see --on-conflict");
        if (!e.sqlstate().starts_with("22") && !e.sqlstate().starts_with("23") && e.sqlstate() != "54000")
            throw e;
        const auto why = co_await refusal_of_document(store_, e);
        throw failure(exit_code::failed, place(number) + " " + why);
    }

    std::string place(std::size_t number) const {
        return "import: " + from_.name() + ", line " + std::to_string(number);
    }

    postgres_store& store_;
    input from_;
    progress progress_;
    import_batch batch_;
    import_counts counts_;
};

} // namespace

asio::awaitable<int> export_states(const context& with) {
    const auto& given = with.given;
    auto store = co_await with.open(); // before the file: what cannot begin destroys nothing
    export_file to(given.file, given.resume);
    document_query query{history_tables(given.settings), given.agent, {}};
    if (!to.last_line().empty()) query.after = resume_key(to, given.agent);
    const auto whole = co_await estimate(with, store);
    progress shown(with.screen.errors && !(with.screen.output && given.file.empty()));
    std::int64_t states = 0;
    std::int64_t skipped = 0;
    for (;;) {
        auto read = [query](pqxx::connection& connection) {
            pqxx::nontransaction sql(connection);
            return read_documents(sql, query);
        };
        const auto page = co_await store.pool().with_connection(std::move(read));
        if (page.empty()) break;
        to.write(lines_of(with, page, shown, skipped));
        states += static_cast<std::int64_t>(page.size());
        query.after = page.back().key;
        shown.show(states, static_cast<std::uint64_t>(states), whole);
    }
    to.finish();
    co_await store.close();
    shown.clear();
    if (!given.file.empty() && given.file != "-")
        std::cerr << "exported " << grouped(states - skipped) << " states\n";
    co_return exit_code::ok;
}

asio::awaitable<int> import_states(const context& with) {
    auto store = co_await with.open();
    import_counts done;
    {
        importer work(with, store);
        co_await work.run();
        done = work.counts();
    }
    co_await store.close();
    if (with.given.json)
        write_json({{"states", done.lines}, {"written", done.written}});
    else
        std::cerr << "imported " << grouped(done.written) << " states; " << grouped(done.lines - done.written)
                  << " were there already or have expired\n";
    co_return exit_code::ok;
}

} // namespace pgstate::cli
