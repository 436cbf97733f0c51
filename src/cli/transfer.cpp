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
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace pgstate::cli {
namespace {

/// The key that an interrupted export has come to.
state_key resume_key(const export_file& to, const std::string& agent) {
    std::string refusal;
    const auto key = key_of(parse_document(to.last_line(), refusal));
    if (!refusal.empty() || !key)
        throw failure(exit_code::failed,
                      "export: the last line of the file is no state; nothing was written");
    if (!agent.empty() && key->agent_id != agent)
        throw failure(exit_code::usage, "export: the file is of another agent; nothing was written");
    return *key;
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
          batch_(postgres_store::quoted_table(with.given.settings), with.given.conflict) {}

    asio::awaitable<void> run() {
        for (std::size_t number = 1;; ++number) {
            auto line = co_await from_.read_line();
            if (!line) break;
            if (line->text.empty()) continue;
            check(*line, number);
            batch_.add(std::move(line->text), number);
            if (batch_.full()) co_await send();
        }
        if (!batch_.empty()) co_await send();
    }

    const import_counts& counts() const noexcept { return counts_; }

private:
    /// What is wrong with a line is said before the lines that came before it are lost with it.
    void check(const input::line& line, std::size_t number) const {
        std::string refusal;
        const auto document = parse_document(line.text, refusal);
        if (refusal.empty()) refusal = wrong_key(document);
        if (refusal.empty()) return;
        if (!line.whole) refusal += "; an export that was interrupted goes on with 'pgstate export --resume'";
        throw failure(exit_code::failed, place(number) + " " + refusal);
    }

    asio::awaitable<void> send() {
        auto lines = std::make_shared<const import_batch>(std::exchange(batch_, batch_.next()));
        auto whole = [lines](pqxx::connection& connection) { return lines->write(connection); };
        const auto done = co_await store_.pool().with_connection(std::move(whole), as_result);
        if (done)
            counts_ += *done;
        else if (lines->may_hold_a_culprit(done.error()))
            co_await send_one_by_one(*lines);
        else
            throw done.error();
        progress_.show(counts_.lines, from_.bytes_read(), from_.size());
    }

    /// Finds the line that the server refuses; those before it are imported. Two lines of one key, which cannot be in
    /// one statement, come through this way as well.
    asio::awaitable<void> send_one_by_one(const import_batch& lines) {
        for (std::size_t i = 0; i < lines.size(); ++i) {
            auto line = std::make_shared<const import_batch>(lines.only(i));
            auto single = [line](pqxx::connection& connection) { return line->write(connection); };
            const auto done = co_await store_.pool().with_connection(std::move(single), as_result);
            if (!done) co_await throw_refused(done.error(), *line);
            counts_ += *done;
        }
    }

    asio::awaitable<void> throw_refused(const error& e, const import_batch& line) const {
        const auto number = line.first_line();
        if (e == errc::conflict)
            throw failure(exit_code::conflict,
                          place(number) +
                              " is of a state that is there already, and differs; see --on-conflict");
        if (!e.sqlstate().starts_with("22") && !e.sqlstate().starts_with("23") && e.sqlstate() != "54000")
            throw e;
        const auto why = co_await refusal_of_document(store_, e, line.first_text());
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
    document_query query{postgres_store::quoted_table(given.settings), given.agent, {}};
    if (!to.last_line().empty()) query.after = resume_key(to, given.agent);
    const auto whole = co_await estimate(with, store);
    progress shown(with.screen.errors && !(with.screen.output && given.file.empty()));
    std::int64_t states = 0;
    for (;;) {
        auto read = [query](pqxx::connection& connection) {
            pqxx::nontransaction sql(connection);
            return read_documents(sql, query);
        };
        const auto page = co_await store.pool().with_connection(std::move(read));
        if (page.empty()) break;
        std::string lines;
        for (const auto& each : page)
            lines.append(each.json).append("\n");
        to.write(lines);
        states += static_cast<std::int64_t>(page.size());
        query.after = page.back().key;
        shown.show(states, static_cast<std::uint64_t>(states), whole);
    }
    to.finish();
    co_await store.close();
    shown.clear();
    if (!given.file.empty() && given.file != "-") std::cerr << "exported " << grouped(states) << " states\n";
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
