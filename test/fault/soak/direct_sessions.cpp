#include "fault/soak/direct_sessions.hpp"

#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/transaction>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <iterator>
#include <mutex>
#include <random>
#include <utility>

namespace pgstate_test {
namespace {

using namespace std::chrono_literals;

void sleep(const std::stop_token& stop, std::chrono::microseconds time) {
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, time, [] { return false; });
}

void lock_once(pqxx::connection& with, const std::string& keys, std::chrono::milliseconds time,
               const std::stop_token& stop, std::atomic<std::size_t>& locked) {
    pqxx::work transaction(with);
    transaction.exec("SELECT FROM agent_states WHERE " + keys + " ORDER BY session_id FOR UPDATE");
    ++locked;
    sleep(stop, time);
}

} // namespace

std::jthread keep_session(std::string connection_string,
                          std::function<void(pqxx::connection&, const std::stop_token&)> work) {
    return std::jthread(
        [where = std::move(connection_string), work = std::move(work)](const std::stop_token& stop) {
            while (!stop.stop_requested()) {
                try {
                    pqxx::connection session(where);
                    work(session, stop);
                } catch (const pqxx::failure&) {
                    sleep(stop, 5ms); // until the server is there again
                }
            }
        });
}

std::jthread lock_rows(std::string connection_string, std::string agent, std::vector<std::string> keys,
                       std::uint64_t seed, std::atomic<std::size_t>& locked) {
    return keep_session(connection_string + "&application_name=soak_locker",
                        [agent = std::move(agent), keys = std::move(keys), random = std::mt19937_64(seed),
                         &locked](pqxx::connection& with, const std::stop_token& stop) mutable {
                            while (!stop.stop_requested()) {
                                std::vector<std::string> some;
                                std::ranges::sample(keys, std::back_inserter(some),
                                                    1 + static_cast<long>(random() % 3), random);
                                std::string which =
                                    "agent_id = '" + agent + "' AND session_id IN ('" + some.front() + "'";
                                for (const auto& each : some)
                                    which += ", '" + each + "'";
                                const auto time =
                                    random() % 20 == 0 ? 2s : std::chrono::milliseconds(1 + random() % 400);
                                lock_once(with, which + ")", time, stop, locked);
                                sleep(stop, std::chrono::milliseconds(random() % 200));
                            }
                        });
}

backend_watch::backend_watch(std::string connection_string, std::string application_name,
                             const fault_proxy& through, std::size_t allowed)
    : application_name_(std::move(application_name)), through_(through), allowed_(allowed),
      thread_(keep_session(connection_string + "&application_name=soak_watch",
                           [this](pqxx::connection& with, const std::stop_token& stop) {
                               while (!stop.stop_requested()) {
                                   look(with);
                                   sleep(stop, 10ms);
                               }
                           })) {}

backend_watch::findings backend_watch::finish() {
    thread_.request_stop();
    thread_.join();
    return std::move(found_);
}

void backend_watch::look(pqxx::connection& with) {
    // One that has never run a statement is of a connection that is being made, or that was given up before the server
    // answered at all: the store cannot know of such a process, and it holds nothing.
    const auto there = pqxx::nontransaction(with).exec(
        "SELECT client_port, concat_ws(' ', pid, state, wait_event, clock_timestamp() - backend_start,"
        " clock_timestamp() - query_start, left(query, 40))"
        " FROM pg_stat_activity WHERE application_name = '" +
        application_name_ + "' AND query_start IS NOT NULL");
    const auto severed = through_.severed(); // after the look, so that none counts that was severed before it
    std::size_t count = 0;
    std::string which;
    for (const auto& row : there) {
        if (severed.contains(row[0].as<unsigned short>())) continue;
        ++count;
        which.append("\n    ").append(row[1].view());
    }
    ++found_.looks;
    found_.most = std::max(found_.most, count);
    if (count > allowed_ && found_.excesses++ == 0) found_.first_excess = which;
}

} // namespace pgstate_test
