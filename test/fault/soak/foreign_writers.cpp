#include "fault/soak/foreign_writers.hpp"

#include "fault/soak/direct_sessions.hpp"

#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>

#include <chrono>
#include <random>
#include <utility>

namespace pgstate_test {
namespace {

using random_type = std::mt19937_64;

/// The Go SDK's SQL, but for RETURNING: the history needs the version that the guard gave the row.
std::string foreign_sql(const history::write& what, const std::string& agent, bool update) {
    const auto row = " WHERE agent_id = '" + agent + "' AND session_id = '" + what.key + "'";
    if (what.what == history::kind::erase) return "DELETE FROM agent_states" + row;
    const auto document = "'{\"agent_id\": \"" + agent + "\", \"session_id\": \"" + what.key +
                          "\", \"data\": {\"saved\": " + std::to_string(what.id) + "}}'";
    if (update)
        return "UPDATE agent_states SET state = " + document + ", updated_at = NOW()" + row +
               " RETURNING version";
    return "INSERT INTO agent_states (agent_id, session_id, state, created_at, updated_at) VALUES ('" +
           agent + "', '" + what.key + "', " + document +
           ", NOW(), NOW()) ON CONFLICT (agent_id, session_id) DO UPDATE"
           " SET state = EXCLUDED.state, updated_at = EXCLUDED.updated_at RETURNING version";
}

void note_answer(history::write& what, const pqxx::result& answer) {
    const bool erased = what.what == history::kind::erase;
    what.missing = erased ? answer.affected_rows() == 0 : answer.empty();
    // An update of a row that is not there changed nothing.
    what.told = what.missing && !erased ? history::outcome::failed : history::outcome::acknowledged;
    if (!what.missing && !erased) what.version = answer[0][0].as<std::int64_t>();
}

} // namespace

foreign_writer::foreign_writer(settings how, std::atomic<history::write_id>& last_id)
    : how_(std::move(how)), last_id_(last_id),
      thread_(
          keep_session(how_.connection_string,
                       [this](pqxx::connection& with, const std::stop_token& stop) { work(with, stop); })) {}

std::vector<history::write> foreign_writer::finish() {
    thread_.request_stop();
    thread_.join();
    return std::move(done_);
}

void foreign_writer::work(pqxx::connection& with, const std::stop_token& stop) {
    pqxx::nontransaction sql(with);
    random_type random(how_.seed + last_id_);
    while (!stop.stop_requested()) {
        const auto choice = random() % 100;
        history::write what;
        what.what = choice < 8 ? history::kind::erase : history::kind::save;
        what.key = how_.keys[random() % how_.keys.size()];
        what.id = ++last_id_;
        what.client = how_.client;
        what.told = history::outcome::unknown;
        what.invoked = std::chrono::steady_clock::now();
        try {
            note_answer(what, sql.exec(foreign_sql(what, how_.agent, choice < 40)));
        } catch (const pqxx::failure&) {
            what.completed = std::chrono::steady_clock::now();
            done_.push_back(std::move(what));
            throw;
        }
        what.completed = std::chrono::steady_clock::now();
        done_.push_back(std::move(what));
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20'000));
    }
}

} // namespace pgstate_test
