#include "blocking_store.hpp"

#include "document.hpp"
#include "pgstate/error.hpp"

#include <pqxx/nontransaction>
#include <pqxx/result>
#include <pqxx/version>

namespace bench {
namespace {

template <class... Values>
pqxx::result execute(pqxx::connection& on, const char* statement, const Values&... values) {
    pqxx::nontransaction sql(on);
#if PQXX_VERSION_MAJOR == 7 && PQXX_VERSION_MINOR < 10
    return sql.exec_prepared(statement, values...);
#else
    return sql.exec(pqxx::prepped{statement}, pqxx::params{values...});
#endif
}

void prepare(pqxx::connection& on, const std::string& table) {
    on.prepare("load", "SELECT state, version, created_at, updated_at FROM " + table +
                           " WHERE agent_id = $1 AND session_id = $2");
    on.prepare("save", "INSERT INTO " + table +
                           " AS t (agent_id, session_id, state) VALUES ($1, $2, $3)"
                           " ON CONFLICT (agent_id, session_id) DO UPDATE"
                           " SET state = EXCLUDED.state, updated_at = now(), version = t.version + 1"
                           " RETURNING version, created_at, updated_at");
    on.prepare("save_if_unchanged", "UPDATE " + table +
                                        " SET state = $3, updated_at = now(), version = version + 1"
                                        " WHERE agent_id = $1 AND session_id = $2 AND version = $4"
                                        " RETURNING version, created_at, updated_at");
    on.prepare("erase", "DELETE FROM " + table + " WHERE agent_id = $1 AND session_id = $2");
    on.prepare("list", "SELECT session_id, version, created_at, updated_at FROM " + table +
                           " WHERE agent_id = $1 ORDER BY updated_at DESC, session_id DESC LIMIT 100");
}

} // namespace

blocking_store::blocking_store(const std::string& url, const std::string& table) : connection_(url) {
    connection_.set_session_var("TimeZone", "UTC");
    prepare(connection_, table);
}

std::optional<pgstate::agent_state> blocking_store::load(const std::string& agent_id,
                                                         const std::string& session_id) {
    const auto found = execute(connection_, "load", agent_id, session_id);
    if (found.empty()) return std::nullopt;
    const auto row = found[0];
    auto state = from_document(row[0].view());
    state.version = row[1].as<std::int64_t>();
    state.created_at = parse_time(row[2].view());
    state.updated_at = parse_time(row[3].view());
    return state;
}

pgstate::saved blocking_store::save(const pgstate::agent_state& state, pgstate::save_options options) {
    const auto document = to_document(state);
    const auto done = options.if_unchanged
                          ? execute(connection_, "save_if_unchanged", state.agent_id, state.session_id,
                                    document, state.version)
                          : execute(connection_, "save", state.agent_id, state.session_id, document);
    if (done.empty()) throw pgstate::error(pgstate::errc::conflict, "save");
    const auto row = done[0];
    return {row[0].as<std::int64_t>(), parse_time(row[1].view()), parse_time(row[2].view())};
}

bool blocking_store::erase(const std::string& agent_id, const std::string& session_id) {
    return execute(connection_, "erase", agent_id, session_id).affected_rows() > 0;
}

pgstate::session_page blocking_store::list(const std::string& agent_id) {
    const auto found = execute(connection_, "list", agent_id);
    pgstate::session_page page;
    page.sessions.reserve(static_cast<std::size_t>(found.size()));
    for (const auto& row : found)
        page.sessions.push_back({row[0].as<std::string>(), row[1].as<std::int64_t>(),
                                 parse_time(row[2].view()), parse_time(row[3].view())});
    return page;
}

} // namespace bench
