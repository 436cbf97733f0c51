// Many clients work on few keys while their server and the way to it fail all the time; then everything is read back and
// the history of it all is checked. See README.md.

#include "fault/history.hpp"
#include "fault/message_rows.hpp"
#include "fault/processes.hpp"
#include "fault/proxy.hpp"
#include "fault/soak/arguments.hpp"
#include "fault/soak/checkpoint_clients.hpp"
#include "fault/soak/clients.hpp"
#include "fault/soak/direct_sessions.hpp"
#include "fault/soak/faults.hpp"
#include "fault/soak/foreign_writers.hpp"
#include "pgstate/pgstate.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <pqxx/connection>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <future>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using namespace std::chrono_literals;
using namespace pgstate_test;

/// After each, the clients pause, and the history so far is checked and forgotten.
constexpr auto epoch_length = 10s;
constexpr std::size_t connections = 8;
constexpr auto application = "soak";

std::size_t count_backends(pqxx::connection& with, const std::string& condition) {
    return pqxx::nontransaction(with)
        .exec("SELECT count(*) FROM pg_stat_activity WHERE " + condition)[0][0]
        .as<std::size_t>();
}

class soak {
public:
    explicit soak(const soak_arguments& given)
        : given_(given), server_(options()), proxy_(tcp_of(server_)),
          tormentor_(server_, proxy_, given.seed, given.verbose), random_(given.seed + 1) {}

    /// 0 if all is well.
    int run() {
        std::cout << "seed " << given_.seed << ", " << given_.clients << " clients, " << given_.minutes
                  << " minutes, " << given_.impatient << " impatient clients"
                  << (given_.guard ? ", guarded, " : ", ") << (given_.rows ? "histories in rows, " : "")
                  << given_.foreign_writers << " foreign writers" << std::endl;
        const auto descriptors_before = open_descriptors();
        work();
        const auto descriptors_after = settled_descriptors(descriptors_before);
        return report(descriptors_before, descriptors_after);
    }

private:
    static pgstate::embedded_server_options options() {
        pgstate::embedded_server_options options;
        options.settings["fsync"] = "off"; // processes crash here, not the machine
        return options;
    }

    void work() {
        asio::io_context context{1};
        auto guard = asio::make_work_guard(context);
        std::thread thread([&context] { context.run(); });
        {
            pgstate::postgres_store store;
            pgstate::postgres_store second;
            try {
                const auto where = through_with_password(proxy_, server_) +
                                   "?sslmode=disable&application_name=" + application;
                store = open(context, where);
                if (given_.rows) second = open(context, where + "-second");
                backend_watch watch(server_.connection_string(), application, proxy_, connections + 1);
                const auto end =
                    soak_clock::now() + std::chrono::duration_cast<soak_clock::duration>(
                                            std::chrono::duration<double, std::ratio<60>>(given_.minutes));
                for (std::uint64_t number = 0; soak_clock::now() < end && hung_ == 0; ++number) {
                    torment(store, given_.rows ? second : store, context, number,
                            std::min(end, soak_clock::now() + epoch_length));
                    if (number == 0) memory_before_ = resident_memory();
                }
                memory_after_ = resident_memory();
                close(store);
                if (given_.rows) close(second);
                backends_ = watch.finish();
                count_leaked();
            } catch (const std::exception& e) {
                problems_.push_back(std::string("the soak ended: ") + e.what());
            }
            guard.reset();
            context.stop();
            thread.join();
        }
    }

    pgstate::postgres_store open(asio::io_context& context, std::string where) {
        pgstate::config settings;
        settings.connection_string = std::move(where);
        settings.operation_timeout = soak_operation_timeout;
        settings.pool.max_conns = connections;
        settings.pool.connect_timeout = 1s;
        settings.schema.guard = given_.guard;
        if (given_.rows) settings.schema.history = pgstate::history_layout::rows;
        return pgstate::postgres_store::open(context.get_executor(), settings, asio::use_future).get();
    }

    void close(pgstate::postgres_store& store) {
        auto closed = store.close(asio::use_future);
        if (closed.wait_for(soak_operation_timeout + soak_grace) != std::future_status::ready)
            problems_.push_back("the store was not closed in time");
    }

    void torment(pgstate::postgres_store& store, pgstate::postgres_store& second, asio::io_context& context,
                 std::uint64_t number, soak_clock::time_point end) {
        auto& current =
            *epochs_.emplace_back(std::make_unique<epoch>(store, context, given_, number, last_id_));
        current.also_with(second);
        current.start();
        if (given_.rows) {
            own_ = std::make_unique<checkpoint_clients>(store, context, given_.seed, number);
            own_->start();
        }
        for (unsigned i = 0; i < given_.foreign_writers; ++i)
            foreign_.push_back(write_foreign(current, i));
        std::jthread locker;
        if (given_.impatient > 0)
            locker = lock_rows(server_.connection_string(), soak_agent, current.keys(), given_.seed + number,
                               locks_);
        while (soak_clock::now() < end) {
            const auto pause = std::chrono::duration<double>(
                given_.fault_every * std::uniform_real_distribution<>(0.5, 1.5)(random_));
            std::this_thread::sleep_until(
                std::min(end, soak_clock::now() + std::chrono::duration_cast<soak_clock::duration>(pause)));
            if (soak_clock::now() >= end) break;
            const auto name = tormentor_.next();
            recover(current, name);
            hung_ += hung(current);
            if (hung_ > 0) break;
        }
        current.stopping = true;
        if (own_) own_->stopping = true;
        locker = {};
        const auto patience =
            soak_clock::now() + soak_operation_timeout + soak_operation_timeout + soak_grace;
        const auto running = [&] { return current.running + (own_ ? own_->running.load() : 0); };
        while (running() > 0 && soak_clock::now() < patience)
            std::this_thread::sleep_for(1ms);
        if (running() > 0) {
            hung_ = std::max<std::size_t>(hung_ + hung(current), 1);
            return;
        }
        for (auto& each : foreign_)
            add_up(current, each->finish());
        foreign_.clear();
        if (!current.broken.empty()) problems_.push_back("a client ended: " + current.broken);
        read_back(current, context);
        add_up(current);
        if (own_) add_up(*own_);
        own_.reset();
        epochs_.clear();
    }

    std::size_t hung(const epoch& current) const { return current.hung() + (own_ ? own_->hung() : 0); }

    std::unique_ptr<foreign_writer> write_foreign(const epoch& during, unsigned number) {
        return std::make_unique<foreign_writer>(
            foreign_writer::settings{.connection_string = server_.connection_string(),
                                     .agent = soak_agent,
                                     .keys = during.foreign_keys(),
                                     .client = given_.clients + given_.impatient + number,
                                     .seed = given_.seed},
            last_id_);
    }

    void recover(const epoch& current, const std::string& after) {
        const auto healed = soak_clock::now();
        const auto since = healed.time_since_epoch().count();
        while (current.last_success.load() < since &&
               soak_clock::now() < healed + soak_operation_timeout + soak_grace)
            std::this_thread::sleep_for(1ms);
        if (current.last_success.load() < since) {
            problems_.push_back("after " + after + " no operation succeeded any more");
            return;
        }
        recoveries_[after].push_back(soak_clock::duration(current.last_success.load() - since));
    }

    /// Once the server has come to the end of all that was cut off.
    void read_back(epoch& of, asio::io_context& context) {
        {
            pqxx::connection observer(server_.connection_string());
            const auto deadline = soak_clock::now() + 30s;
            const std::string of_store(soaked_processes);
            while (count_backends(observer, of_store) > proxy_.count().open && soak_clock::now() < deadline)
                std::this_thread::sleep_for(5ms);
        }
        auto direct = open(context, server_.connection_string());
        for (const auto& key : of.keys()) {
            const auto invoked = soak_clock::now();
            const auto state = direct.load(soak_agent, key, asio::use_future).get();
            of.note_load(key, state, invoked);
        }
        if (own_) own_->read_back(direct);
        direct.close(asio::use_future).get();
        if (given_.rows) look_at_rows();
    }

    void look_at_rows() {
        const auto found = look_at_message_rows(server_.connection_string());
        for (const auto& each : found.wrongs)
            add_problem("messages in rows: " + each);
        message_row_wrongs_ += found.wrongs.size();
        if (found.in_rows == 0) add_problem("no history is in rows");
        if (found.in_document > 0 && given_.foreign_writers == 0)
            add_problem(std::to_string(found.in_document) + " histories are not in rows");
        states_in_rows_ = found.in_rows;
        message_rows_ = found.rows;
    }

    /// Server processes that work for this program, though nothing of it is connected any more.
    void count_leaked() {
        pqxx::connection observer(server_.connection_string());
        const auto count = [&] {
            return count_backends(observer, "backend_type = 'client backend' AND pid <> pg_backend_pid()");
        };
        const auto deadline = soak_clock::now() + 10s;
        while ((leaked_ = count()) > 0 && soak_clock::now() < deadline)
            std::this_thread::sleep_for(5ms);
    }

    void add_up(epoch& to, std::vector<history::write> foreign) {
        for (auto& each : foreign) {
            ++(each.told == history::outcome::unknown ? foreign_unknown_ : foreign_answered_);
            to.past.add(std::move(each));
        }
    }

    void add_up(const epoch& of) {
        acknowledged_ += of.acknowledged;
        failed_ += of.failed;
        unknown_ += of.unknown;
        for (const auto& [why, counts] : of.unknown_writes)
            for (std::size_t i = 0; i < counts.size(); ++i)
                unknown_writes_[why][i] += counts[i];
        for (const auto& [name, count] : of.errors)
            errors_[name] += count;
        parts_saved_ += of.parts_saved;
        for (const auto& each : of.problems)
            add_problem(each);
        auto found = of.past.check();
        for (const auto& others : {of.violations, of.kept.check()})
            found.insert(found.end(), others.begin(), others.end());
        for (const auto& each : found) {
            ++violations_[name_of(each.what)];
            if (stories_.size() < 3 && !stories_.contains(each.key))
                stories_.emplace(each.key, of.past.story(each.key));
            add_problem(std::string(name_of(each.what)) + ": " + each.text);
        }
    }

    void add_up(const checkpoint_clients& of) {
        for (const auto& [what, count] : of.acknowledged)
            own_acknowledged_[what] += count;
        own_failed_ += of.failed;
        own_unknown_ += of.unknown;
        own_problems_ += of.problems.size();
        for (const auto& [name, count] : of.errors)
            errors_["own sessions: " + name] += count;
        for (const auto& each : of.problems)
            add_problem(each);
    }

    void add_problem(std::string what) {
        constexpr std::size_t enough = 20;
        if (problems_.size() < enough) problems_.push_back(std::move(what));
    }

    void report_rows() const {
        std::cout << "own sessions: " << own_failed_ << " failed, " << own_unknown_ << " unknown, "
                  << own_problems_ << " problems; acknowledged";
        for (const auto& [what, count] : own_acknowledged_)
            std::cout << ", " << what << ": " << count;
        std::cout << "\nsaves of a part: " << parts_saved_ << "\nat the end " << states_in_rows_
                  << " histories in rows, " << message_rows_ << " rows of messages; " << message_row_wrongs_
                  << " wrong or left over\n";
    }

    /// Connections that are being closed take a moment.
    static std::size_t settled_descriptors(std::size_t wanted) {
        const auto deadline = soak_clock::now() + 10s;
        auto now = open_descriptors();
        while (now > wanted && soak_clock::now() < deadline) {
            std::this_thread::sleep_for(10ms);
            now = open_descriptors();
        }
        return now;
    }

    int report(std::size_t descriptors_before, std::size_t descriptors_after) {
        if (descriptors_after > descriptors_before) problems_.push_back("file descriptors are left open");
        constexpr std::size_t mebibyte = 1U << 20U;
        if (memory_after_ > 2 * memory_before_ + 64 * mebibyte) problems_.push_back("memory has grown");
        if (hung_ > 0) problems_.push_back("operations did not complete");
        if (leaked_ > 0) problems_.push_back("server processes are left");
        if (backends_.looks == 0) problems_.push_back("nobody counted the server processes");
        if (backends_.excesses > 0)
            problems_.push_back("the store had too many server processes, at " +
                                std::to_string(backends_.excesses) + " looks; first" +
                                backends_.first_excess);
        if (given_.rows && parts_saved_ == 0) problems_.push_back("no state was saved in part");
        if (given_.impatient > 0 && locks_ == 0) problems_.push_back("nobody locked a row");
        if (given_.foreign_writers > 0 && foreign_answered_ == 0)
            problems_.push_back("no foreign write succeeded");

        std::cout << "operations: " << acknowledged_ << " acknowledged, " << failed_ << " failed, "
                  << unknown_ << " unknown\n";
        for (const auto& [name, count] : errors_)
            std::cout << "  " << name << ": " << count << '\n';
        for (const auto& [why, counts] : unknown_writes_)
            std::cout << "  unknown writes, " << why << ": " << counts[0] + counts[1] << ", of foreign keys "
                      << counts[1] << '\n';
        if (given_.foreign_writers > 0)
            std::cout << "foreign writes: " << foreign_answered_ << " answered, " << foreign_unknown_
                      << " unknown\n";
        if (given_.rows) report_rows();
        if (given_.impatient > 0) std::cout << "locks held by others: " << locks_ << '\n';
        std::cout << "the store's backends: at most " << backends_.most << " of " << connections + 1 << " at "
                  << backends_.looks << " looks\n";
        std::cout << "lost " << violations_["lost"] << ", doubled " << violations_["doubled"]
                  << ", repeated versions " << violations_["repeated"] << ", other violations "
                  << violations_["phantom"] + violations_["backwards"] + violations_["versions"] +
                         violations_["winners"]
                  << ", hung " << hung_ << ", leaked " << leaked_ << '\n';
        std::vector<soak_clock::duration> all;
        const auto ms = [](soak_clock::duration time) {
            return std::chrono::duration<double, std::milli>(time).count();
        };
        std::cout << std::fixed << std::setprecision(1);
        for (auto& [name, times] : recoveries_) {
            std::ranges::sort(times);
            std::cout << "  " << name << ": " << times.size() << ", recovery at most " << ms(times.back())
                      << " ms\n";
            all.insert(all.end(), times.begin(), times.end());
        }
        std::ranges::sort(all);
        if (!all.empty())
            std::cout << "faults: " << all.size() << "; recovery p50 " << ms(all[all.size() / 2])
                      << " ms, max " << ms(all.back()) << " ms\n";
        std::cout << "file descriptors: " << descriptors_before << " before, " << descriptors_after
                  << " after\n"
                  << "resident memory: " << memory_before_ / mebibyte << " MiB after the first epoch, "
                  << memory_after_ / mebibyte << " MiB at the end\n";
        for (const auto& [key, story] : stories_)
            std::cout << "what happened to " << key << ", times in ms:\n" << story;
        for (const auto& each : problems_)
            std::cout << "PROBLEM: " << each << '\n';
        std::cout << (problems_.empty() ? "passed" : "FAILED") << ", seed " << given_.seed << std::endl;
        return problems_.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
    }

    const soak_arguments given_;
    pgstate::embedded_server server_;
    fault_proxy proxy_;
    tormentor tormentor_;
    std::mt19937_64 random_;
    std::atomic<std::uint64_t> last_id_{0};
    std::vector<std::unique_ptr<epoch>> epochs_; ///< outlive clients that hang
    std::unique_ptr<checkpoint_clients> own_;    ///< of the last epoch, as it may hang
    std::vector<std::unique_ptr<foreign_writer>> foreign_;
    std::map<std::string, std::string> stories_; ///< of a few keys that a violation was found of

    std::size_t acknowledged_ = 0;
    std::size_t failed_ = 0;
    std::size_t unknown_ = 0;
    std::map<std::string, std::array<std::size_t, 2>> unknown_writes_;
    std::size_t foreign_answered_ = 0;
    std::size_t foreign_unknown_ = 0;
    std::map<std::string, std::size_t> own_acknowledged_;
    std::size_t own_failed_ = 0;
    std::size_t own_unknown_ = 0;
    std::size_t own_problems_ = 0;
    std::size_t parts_saved_ = 0;
    std::size_t states_in_rows_ = 0;
    std::size_t message_rows_ = 0;
    std::size_t message_row_wrongs_ = 0;
    std::size_t hung_ = 0;
    std::size_t leaked_ = 0;
    std::atomic<std::size_t> locks_{0};
    backend_watch::findings backends_;
    std::map<std::string, std::size_t> errors_;
    std::map<std::string, std::size_t> violations_;
    std::map<std::string, std::vector<soak_clock::duration>> recoveries_;
    std::size_t memory_before_ = 0;
    std::size_t memory_after_ = 0;
    std::vector<std::string> problems_;
};

} // namespace

int main(int argc, char** argv) {
    try {
        const auto given = parse_soak_arguments(argc, argv);
        if (!given) return EXIT_SUCCESS;
        return soak(*given).run();
    } catch (const std::exception& e) {
        std::cerr << "pgstate_soak: " << e.what() << '\n';
        return EXIT_FAILURE;
    }
}
