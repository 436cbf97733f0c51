// Many clients work on few keys while their server and the way to it fail all the time; then everything is read back and
// the history of it all is checked. See README.md.

#include "fault/history.hpp"
#include "fault/processes.hpp"
#include "fault/proxy.hpp"
#include "pgstate/pgstate.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/program_options.hpp>

#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <signal.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <future>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace {

namespace asio = boost::asio;
namespace po = boost::program_options;
using namespace std::chrono_literals;
using namespace pgstate_test;
using pgstate::agent_state;
using pgstate::as_result;
using pgstate::errc;
using soak_clock = std::chrono::steady_clock;

constexpr auto operation_timeout = 5s;
/// An operation that has not completed so long after its time-out never will.
constexpr auto grace = 5s;
/// After each, the clients pause, and the history so far is checked and forgotten.
constexpr auto epoch_length = 10s;
constexpr std::size_t connections = 8;
constexpr std::size_t key_count = 24;
constexpr auto agent = "soak";

struct arguments {
    double minutes = 1;
    unsigned clients = 64;
    std::uint64_t seed = 0;
    double fault_every = 2; ///< seconds
    unsigned erases = 4;    ///< percent of the operations
    bool verbose = false;
};

std::optional<arguments> parse_arguments(int argc, const char* const* argv) {
    arguments a;
    a.seed = std::random_device{}();
    po::options_description all("Options");
    auto add = all.add_options();
    add("help,h", "show this and exit");
    add("minutes", po::value(&a.minutes)->default_value(1)->value_name("M"), "how long the clients work");
    add("clients", po::value(&a.clients)->default_value(64)->value_name("N"), "operations under way at once");
    add("seed", po::value(&a.seed)->value_name("S"),
        "of the faults and of what the clients do; by default a random one");
    add("fault-every", po::value(&a.fault_every)->default_value(2)->value_name("S"),
        "seconds between two faults, on average");
    add("erases", po::value(&a.erases)->default_value(4)->value_name("N"),
        "percent of the operations, up to 10, that erase");
    add("verbose", po::bool_switch(&a.verbose), "print every fault");
    po::variables_map given;
    const po::positional_options_description none;
    po::store(po::command_line_parser(argc, argv).options(all).positional(none).run(), given);
    po::notify(given);
    if (given.count("help")) {
        std::cout << "Soaks a store in faults, and checks what is left\n\n" << all;
        return std::nullopt;
    }
    if (!(a.minutes > 0 && a.minutes <= 10'000))
        throw po::error("--minutes must be more than 0, up to 10000");
    if (a.clients < 1 || a.clients > 10'000) throw po::error("--clients must be from 1 to 10000");
    if (!(a.fault_every >= 0.1 && a.fault_every <= 3600))
        throw po::error("--fault-every must be from 0.1 to 3600");
    if (a.erases > 10) throw po::error("--erases must be from 0 to 10");
    return a;
}

/// What the clients do between two checks, and how it went. Its members are used in the clients' thread but for the
/// atomic ones, and once all clients are done by anybody.
class epoch {
public:
    epoch(pgstate::postgres_store& store, asio::io_context& context, const arguments& given,
          std::uint64_t number, std::atomic<std::uint64_t>& last_id)
        : store_(store), context_(context), given_(given), number_(number), last_id_(last_id),
          begun_(given.clients) {}

    void start() {
        running = given_.clients;
        for (unsigned i = 0; i < given_.clients; ++i)
            asio::co_spawn(context_, client(i), [this](std::exception_ptr failure) {
                if (failure) broken = pgstate::to_error(failure).what();
                --running;
            });
    }

    /// How many operations have not completed in their time.
    std::size_t hung() const {
        const auto late = (soak_clock::now() - operation_timeout - grace).time_since_epoch().count();
        return static_cast<std::size_t>(std::ranges::count_if(begun_, [late](const auto& each) {
            const auto at = each.load();
            return at != 0 && at < late;
        }));
    }

    std::vector<std::string> keys() const {
        std::vector<std::string> all;
        for (std::size_t i = 0; i < key_count; ++i)
            all.push_back("e" + std::to_string(number_) + "-" + std::to_string(i));
        return all;
    }

    void note_load(const std::string& key, const std::optional<agent_state>& state,
                   soak_clock::time_point invoked) {
        history::observation seen;
        seen.key = key;
        seen.missing = !state;
        seen.invoked = invoked;
        seen.completed = soak_clock::now();
        if (state) {
            seen.version = state->version;
            for (const auto& [name, value] : state->data) {
                if (name == "saved") {
                    seen.saved = value.to_number<std::uint64_t>();
                    continue;
                }
                history::client_id client = 0;
                std::from_chars(name.data() + 1, name.data() + name.size(), client);
                if (name.front() == 'n')
                    seen.counters[client] = value.to_number<std::int64_t>();
                else
                    seen.merged[client] = value.to_number<std::uint64_t>();
            }
            for (const auto& each : state->history)
                seen.appended.push_back(std::stoull(each.content));
        }
        past.add(std::move(seen));
    }

    std::atomic<bool> stopping{false};
    std::atomic<unsigned> running{0};
    std::atomic<soak_clock::rep> last_success{0};
    history past;
    std::map<std::string, std::size_t> errors;
    std::size_t acknowledged = 0;
    std::size_t failed = 0;
    std::size_t unknown = 0;
    std::string broken; ///< a client ended by an exception

private:
    using random_type = std::mt19937_64;
    using kind = history::kind;

    /// An operation under way; noted when it has completed.
    class call {
    public:
        call(epoch& whose, unsigned client) : whose_(whose), client_(client), invoked(soak_clock::now()) {
            whose_.begun_[client_] = invoked.time_since_epoch().count();
        }
        call(const call&) = delete;
        call& operator=(const call&) = delete;
        ~call() { whose_.begun_[client_] = 0; }

    private:
        epoch& whose_;
        const unsigned client_;

    public:
        const soak_clock::time_point invoked;
    };

    static history::outcome told_by(const pgstate::error& e) {
        if (e == errc::outcome_unknown) return history::outcome::unknown;
        if (e == errc::timed_out && std::string_view(e.what()).find("was not sent") == std::string_view::npos)
            return history::outcome::unknown;
        return history::outcome::failed;
    }

    /// By the faults, or by what other clients do to the same keys.
    static bool explained(const pgstate::error& e) {
        for (const auto code : {errc::outcome_unknown, errc::unavailable, errc::timed_out,
                                errc::pool_exhausted, errc::conflict, errc::not_found})
            if (e == code) return true;
        return e.sqlstate().starts_with("57P") || e.sqlstate().starts_with("08");
    }

    template <class T>
    void count(const pgstate::result<T>& r) {
        if (r.has_value()) {
            ++acknowledged;
            last_success = soak_clock::now().time_since_epoch().count();
            return;
        }
        const pgstate::error e = r.error();
        ++(told_by(e) == history::outcome::unknown ? unknown : failed);
        ++errors[(explained(e) ? "" : "UNEXPECTED ") + e.operation() + ": " + e.code().message() +
                 (e.sqlstate().empty() ? "" : " (" + e.sqlstate() + ")")];
    }

    history::write begun(kind what, const std::string& key, unsigned client) {
        history::write made;
        made.what = what;
        made.key = key;
        made.id = ++last_id_;
        made.client = client;
        return made;
    }

    template <class T>
    void finish(history::write what, soak_clock::time_point invoked, const pgstate::result<T>& r) {
        what.invoked = invoked;
        what.completed = soak_clock::now();
        if (r.has_error()) {
            what.told = told_by(r.error());
            what.missing = r.error() == errc::not_found;
        } else {
            what.told = history::outcome::acknowledged;
            if constexpr (std::is_same_v<T, bool>)
                what.missing = !*r;
            else
                what.version = r->version;
        }
        past.add(std::move(what));
    }
    template <class T>
    void finish_one(history::write what, const call& of, const pgstate::result<T>& r) {
        count(r);
        finish(std::move(what), of.invoked, r);
    }

    static agent_state document(const history::write& what) {
        agent_state state(agent, what.key);
        state.data["saved"] = what.id;
        return state;
    }

    asio::awaitable<void> client(unsigned id) {
        std::seed_seq seeds{given_.seed, number_, std::uint64_t{id}};
        random_type random(seeds);
        const auto all = keys();
        asio::steady_timer pause(context_);
        while (!stopping) {
            const auto key = all[random() % all.size()];
            const auto choice = random() % 100;
            if (choice < 20) {
                co_await save(key, id);
            } else if (choice < 30) {
                co_await save_if_unchanged(key, id);
            } else if (choice < 48) {
                co_await load(key, id);
            } else if (choice < 60) {
                co_await append(key, id);
            } else if (choice < 72) {
                co_await increment(key, id);
            } else if (choice < 80) {
                co_await merge(key, id);
            } else if (choice < 84) {
                co_await save_all(all, random, id);
            } else if (choice < 87) {
                co_await transaction(all, random, id);
            } else if (choice < 90) {
                co_await list(id);
            } else if (choice < 90 + given_.erases) {
                co_await erase(key, id);
            } else {
                co_await touch(key, id);
            }
            pause.expires_after(std::chrono::microseconds(random() % 30'000));
            co_await pause.async_wait(asio::as_tuple(asio::use_awaitable));
        }
    }

    asio::awaitable<void> save(std::string key, unsigned id) {
        auto what = begun(kind::save, key, id);
        const auto state = document(what);
        const call under_way(*this, id);
        const auto r = co_await store_.save(state, as_result);
        finish_one(std::move(what), under_way, r);
    }

    asio::awaitable<void> save_if_unchanged(std::string key, unsigned id) {
        const auto loaded = co_await load(key, id);
        if (!loaded) co_return;
        auto what = begun(kind::save, key, id);
        auto state = document(what);
        state.version = what.expected = loaded->version;
        const call under_way(*this, id);
        const auto r = co_await store_.save(state, {.if_unchanged = true}, as_result);
        finish_one(std::move(what), under_way, r);
    }

    asio::awaitable<std::optional<agent_state>> load(std::string key, unsigned id) {
        const call under_way(*this, id);
        const auto r = co_await store_.load(agent, key, as_result);
        count(r);
        if (r.has_error()) co_return std::nullopt;
        note_load(key, *r, under_way.invoked);
        co_return *r;
    }

    asio::awaitable<void> append(std::string key, unsigned id) {
        auto what = begun(kind::append, key, id);
        std::vector<pgstate::agent_message> messages;
        messages.emplace_back("user", std::to_string(what.id));
        const call under_way(*this, id);
        const auto r = co_await store_.append(agent, key, std::move(messages), as_result);
        finish_one(std::move(what), under_way, r);
    }

    asio::awaitable<void> increment(std::string key, unsigned id) {
        auto what = begun(kind::increment, key, id);
        const auto pointer = "/data/n" + std::to_string(id);
        const call under_way(*this, id);
        const auto r = co_await store_.increment(agent, key, pointer, 1, as_result);
        finish_one(std::move(what), under_way, r);
    }

    asio::awaitable<void> merge(std::string key, unsigned id) {
        auto what = begun(kind::merge, key, id);
        pgstate::state_patch patch;
        patch.data["m" + std::to_string(id)] = what.id;
        const call under_way(*this, id);
        const auto r = co_await store_.merge(agent, key, std::move(patch), as_result);
        finish_one(std::move(what), under_way, r);
    }

    asio::awaitable<void> erase(std::string key, unsigned id) {
        auto what = begun(kind::erase, key, id);
        const call under_way(*this, id);
        const auto r = co_await store_.erase(agent, key, as_result);
        finish_one(std::move(what), under_way, r);
    }

    asio::awaitable<void> touch(std::string key, unsigned id) {
        const call under_way(*this, id);
        const std::optional<std::chrono::milliseconds> ttl = 1h;
        const auto r = co_await store_.touch(agent, key, ttl, as_result);
        count(r);
    }

    asio::awaitable<void> list(unsigned id) {
        const call under_way(*this, id);
        const auto r = co_await store_.list(agent, as_result);
        count(r);
    }

    /// Different keys, in any order.
    std::vector<history::write> several(const std::vector<std::string>& all, std::size_t count,
                                        random_type& random, unsigned id) {
        std::vector<std::string> chosen;
        std::ranges::sample(all, std::back_inserter(chosen), static_cast<std::ptrdiff_t>(count), random);
        std::vector<history::write> writes;
        for (const auto& key : chosen)
            writes.push_back(begun(kind::save, key, id));
        return writes;
    }

    asio::awaitable<void> save_all(const std::vector<std::string>& all, random_type& random, unsigned id) {
        const auto writes = several(all, 3, random, id);
        pgstate::save_all_options options;
        options.atomic = random() % 2 == 0;
        std::vector<agent_state> states;
        for (const auto& each : writes)
            states.push_back(document(each));
        const call under_way(*this, id);
        const auto r = co_await store_.save_all(states, options, as_result);
        count(r);
        for (std::size_t i = 0; i < writes.size(); ++i)
            finish(writes[i], under_way.invoked,
                   r.has_error() ? pgstate::result<pgstate::saved>(r.error()) : (*r)[i]);
    }

    asio::awaitable<void> transaction(const std::vector<std::string>& all, random_type& random, unsigned id) {
        auto writes = several(all, 2, random, id);
        std::ranges::sort(writes, {}, &history::write::key); // as everybody locks them
        const auto documents = std::make_shared<std::vector<agent_state>>();
        for (const auto& each : writes)
            documents->push_back(document(each));
        auto work = [documents](pgstate::transaction& t) {
            std::vector<pgstate::saved> saved;
            for (const auto& each : *documents)
                saved.push_back(t.save(each));
            return saved;
        };
        const call under_way(*this, id);
        const auto r = co_await store_.transaction(std::move(work), as_result);
        count(r);
        for (std::size_t i = 0; i < writes.size(); ++i)
            finish(writes[i], under_way.invoked,
                   r.has_error() ? pgstate::result<pgstate::saved>(r.error())
                                 : pgstate::result<pgstate::saved>((*r)[i]));
    }

    pgstate::postgres_store& store_;
    asio::io_context& context_;
    const arguments& given_;
    const std::uint64_t number_;
    std::atomic<std::uint64_t>& last_id_;
    std::vector<std::atomic<soak_clock::rep>> begun_; ///< by client: since when one is under way; 0: none is
};

/// The faults, one after the other, each healed before the next.
class tormentor {
public:
    tormentor(pgstate::embedded_server& server, fault_proxy& proxy, std::uint64_t seed, bool verbose)
        : server_(server), proxy_(proxy), random_(seed), verbose_(verbose) {}

    /// Returns when the fault is over and the server accepts connections; its name.
    std::string next() {
        static const std::vector<std::pair<std::string, void (tormentor::*)()>> all{
            {"cut", &tormentor::cut},
            {"reset", &tormentor::reset},
            {"stall", &tormentor::stall},
            {"black hole", &tormentor::black_hole},
            {"refusal", &tormentor::refuse},
            {"terminated backends", &tormentor::terminate_backends},
            {"killed backend", &tormentor::kill_backend},
            {"quit postmaster", &tormentor::quit_postmaster},
            {"killed postmaster", &tormentor::kill_postmaster},
            {"stopped processes", &tormentor::stop_processes},
            {"immediate restart", &tormentor::restart}};
        // All of them in turn, in another order each time, so that a short run has had most.
        if (order_.empty()) {
            for (std::size_t i = 0; i < all.size(); ++i)
                order_.push_back(i);
            std::ranges::shuffle(order_, random_);
        }
        const auto& [name, inflict] = all[order_.back()];
        order_.pop_back();
        if (verbose_) std::cout << "fault: " << name << std::endl;
        (this->*inflict)();
        return name;
    }

private:
    std::uint64_t any(std::uint64_t from, std::uint64_t to) {
        return std::uniform_int_distribution<std::uint64_t>(from, to)(random_);
    }
    void last(std::uint64_t from_ms, std::uint64_t to_ms) {
        std::this_thread::sleep_for(std::chrono::milliseconds(any(from_ms, to_ms)));
    }
    fault_proxy::direction either_direction() {
        return any(0, 1) == 0 ? fault_proxy::direction::to_server : fault_proxy::direction::to_client;
    }
    fault_proxy::ending either_ending() {
        return any(0, 1) == 0 ? fault_proxy::ending::fin : fault_proxy::ending::rst;
    }

    void cut() {
        for (auto count = any(1, 8); count > 0; --count) {
            proxy_.cut(either_direction(), any(0, 5000), either_ending());
            last(1, 50);
        }
        proxy_.disarm();
    }
    void reset() { proxy_.reset_all(either_ending()); }
    void stall() {
        proxy_.set(either_direction(), {.bytes = fault_proxy::flow::stall});
        last(100, 1500);
        proxy_.calm();
    }
    void black_hole() {
        proxy_.accept(fault_proxy::arrivals::black_hole);
        if (any(0, 1) == 0)
            proxy_.reset_all();
        else
            proxy_.set(either_direction(), {.bytes = fault_proxy::flow::swallow});
        last(500, 2500);
        proxy_.calm();
    }
    void refuse() {
        proxy_.accept(fault_proxy::arrivals::refuse);
        proxy_.reset_all(either_ending());
        last(200, 1500);
        proxy_.calm();
    }

    void terminate_backends() {
        pqxx::connection direct(server_.connection_string());
        pqxx::nontransaction(direct).exec(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'soak'");
    }
    void kill_backend() {
        std::vector<int> backends;
        {
            pqxx::connection direct(server_.connection_string());
            pqxx::nontransaction sql(direct);
            for (const auto& row :
                 sql.exec("SELECT pid FROM pg_stat_activity WHERE application_name = 'soak' ORDER BY pid"))
                backends.push_back(row[0].as<int>());
        }
        if (backends.empty()) return;
        ::kill(backends[any(0, backends.size() - 1)], SIGKILL);
        wait_for_server();
    }
    void quit_postmaster() {
        ::kill(server_.pid(), SIGQUIT);
        begin_anew();
    }
    void kill_postmaster() {
        ::kill(server_.pid(), SIGKILL);
        begin_anew();
    }
    void begin_anew() {
        server_.stop(pgstate::embedded_server::shutdown::immediate); // waits for the end of it
        last(0, 500);
        server_.start();
    }
    void stop_processes() {
        const stopped_server still(server_);
        last(200, 2000);
    }
    void restart() {
        server_.stop(pgstate::embedded_server::shutdown::immediate);
        server_.start();
    }

    void wait_for_server() {
        const auto deadline = soak_clock::now() + 60s;
        for (;;) {
            try {
                const pqxx::connection probe(server_.connection_string());
                return;
            } catch (const pqxx::failure&) {
                if (soak_clock::now() > deadline) throw;
                std::this_thread::sleep_for(5ms);
            }
        }
    }

    pgstate::embedded_server& server_;
    fault_proxy& proxy_;
    std::mt19937_64 random_;
    const bool verbose_;
    std::vector<std::size_t> order_;
};

class soak {
public:
    explicit soak(const arguments& given)
        : given_(given), server_(options()), proxy_(socket_of(server_)),
          tormentor_(server_, proxy_, given.seed, given.verbose), random_(given.seed + 1) {}

    /// 0 if all is well.
    int run() {
        std::cout << "seed " << given_.seed << ", " << given_.clients << " clients, " << given_.minutes
                  << " minutes" << std::endl;
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
            try {
                store = open(context, through(proxy_) + "&application_name=soak");
                const auto end =
                    soak_clock::now() + std::chrono::duration_cast<soak_clock::duration>(
                                            std::chrono::duration<double, std::ratio<60>>(given_.minutes));
                for (std::uint64_t number = 0; soak_clock::now() < end && hung_ == 0; ++number) {
                    torment(store, context, number, std::min(end, soak_clock::now() + epoch_length));
                    if (number == 0) memory_before_ = resident_memory();
                }
                memory_after_ = resident_memory();
                close(store);
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
        settings.operation_timeout = operation_timeout;
        settings.pool.max_conns = connections;
        settings.pool.connect_timeout = 1s;
        return pgstate::postgres_store::open(context.get_executor(), settings, asio::use_future).get();
    }

    void close(pgstate::postgres_store& store) {
        auto closed = store.close(asio::use_future);
        if (closed.wait_for(operation_timeout + grace) != std::future_status::ready)
            problems_.push_back("the store was not closed in time");
    }

    void torment(pgstate::postgres_store& store, asio::io_context& context, std::uint64_t number,
                 soak_clock::time_point end) {
        auto& current =
            *epochs_.emplace_back(std::make_unique<epoch>(store, context, given_, number, last_id_));
        current.start();
        while (soak_clock::now() < end) {
            const auto pause = std::chrono::duration<double>(
                given_.fault_every * std::uniform_real_distribution<>(0.5, 1.5)(random_));
            std::this_thread::sleep_until(
                std::min(end, soak_clock::now() + std::chrono::duration_cast<soak_clock::duration>(pause)));
            if (soak_clock::now() >= end) break;
            const auto name = tormentor_.next();
            recover(current, name);
            hung_ += current.hung();
            if (hung_ > 0) break;
        }
        current.stopping = true;
        const auto patience = soak_clock::now() + operation_timeout + operation_timeout + grace;
        while (current.running > 0 && soak_clock::now() < patience)
            std::this_thread::sleep_for(1ms);
        if (current.running > 0) {
            hung_ = std::max<std::size_t>(hung_ + current.hung(), 1);
            return;
        }
        if (!current.broken.empty()) problems_.push_back("a client ended: " + current.broken);
        read_back(current, context);
        add_up(current);
        epochs_.clear();
    }

    void recover(const epoch& current, const std::string& after) {
        const auto healed = soak_clock::now();
        const auto since = healed.time_since_epoch().count();
        while (current.last_success.load() < since && soak_clock::now() < healed + operation_timeout + grace)
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
            const auto backends = [&] {
                return pqxx::nontransaction(observer)
                    .exec("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'soak'")[0][0]
                    .as<std::size_t>();
            };
            while (backends() > proxy_.count().open && soak_clock::now() < deadline)
                std::this_thread::sleep_for(5ms);
        }
        auto direct = open(context, server_.connection_string());
        for (const auto& key : of.keys()) {
            const auto invoked = soak_clock::now();
            const auto state = direct.load(agent, key, asio::use_future).get();
            of.note_load(key, state, invoked);
        }
        direct.close(asio::use_future).get();
    }

    void add_up(const epoch& of) {
        acknowledged_ += of.acknowledged;
        failed_ += of.failed;
        unknown_ += of.unknown;
        for (const auto& [name, count] : of.errors)
            errors_[name] += count;
        for (const auto& each : of.past.check()) {
            ++violations_[name_of(each.what)];
            constexpr std::size_t enough = 20;
            if (problems_.size() < enough)
                problems_.push_back(std::string(name_of(each.what)) + ": " + each.text);
        }
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

        std::cout << "operations: " << acknowledged_ << " acknowledged, " << failed_ << " failed, "
                  << unknown_ << " unknown\n";
        for (const auto& [name, count] : errors_)
            std::cout << "  " << name << ": " << count << '\n';
        std::cout << "lost " << violations_["lost"] << ", doubled " << violations_["doubled"]
                  << ", other violations "
                  << violations_["phantom"] + violations_["backwards"] + violations_["versions"] +
                         violations_["winners"]
                  << ", hung " << hung_ << '\n';
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
        for (const auto& each : problems_)
            std::cout << "PROBLEM: " << each << '\n';
        std::cout << (problems_.empty() ? "passed" : "FAILED") << ", seed " << given_.seed << std::endl;
        return problems_.empty() ? EXIT_SUCCESS : EXIT_FAILURE;
    }

    const arguments given_;
    pgstate::embedded_server server_;
    fault_proxy proxy_;
    tormentor tormentor_;
    std::mt19937_64 random_;
    std::atomic<std::uint64_t> last_id_{0};
    std::vector<std::unique_ptr<epoch>> epochs_; ///< outlive clients that hang

    std::size_t acknowledged_ = 0;
    std::size_t failed_ = 0;
    std::size_t unknown_ = 0;
    std::size_t hung_ = 0;
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
        const auto given = parse_arguments(argc, argv);
        if (!given) return EXIT_SUCCESS;
        return soak(*given).run();
    } catch (const std::exception& e) {
        std::cerr << "pgstate_soak: " << e.what() << '\n';
        return EXIT_FAILURE;
    }
}
