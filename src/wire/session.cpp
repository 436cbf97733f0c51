#include "wire/session.hpp"

#include "detail/deadline.hpp"
#include "pgstate/error.hpp"
#include "wire/connect_message.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <map>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace pgstate::wire {
namespace {

using clock = std::chrono::steady_clock;

struct finish {
    void operator()(PGconn* raw) const { PQfinish(raw); }
};
using raw_connection = std::unique_ptr<PGconn, finish>;

struct free_options {
    void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

/// Defaults go before the user's string, where the string overrides them; what must hold goes after it.
raw_connection start(const std::string& conninfo, const std::map<std::string, std::string>& narrowed) {
    std::vector<const char*> keys{"keepalives_idle",  "keepalives_interval",       "keepalives_count",
                                  "tcp_user_timeout", "fallback_application_name", "dbname"};
    std::vector<const char*> values{"30", "10", "3", "60000", "pgstate", conninfo.c_str()};
    for (const auto& [key, value] : narrowed) {
        keys.push_back(key.c_str());
        values.push_back(value.c_str());
    }
    keys.push_back("client_encoding");
    values.push_back("UTF8");
    keys.push_back(nullptr);
    values.push_back(nullptr);
    raw_connection raw(PQconnectStartParams(keys.data(), values.data(), 1));
    if (!raw) throw error(errc::unavailable, "connect", "out of memory");
    return raw;
}

std::optional<std::string> effective(PGconn* raw, std::string_view keyword) {
    const std::unique_ptr<PQconninfoOption, free_options> options(PQconninfo(raw));
    if (!options) return std::nullopt;
    for (auto* option = options.get(); option->keyword; ++option)
        if (keyword == option->keyword && option->val && *option->val) return option->val;
    return std::nullopt;
}

std::vector<std::string> split(const std::string& list) {
    std::vector<std::string> parts(1);
    for (char c : list) {
        if (c == ',')
            parts.emplace_back();
        else
            parts.back().push_back(c);
    }
    return parts;
}

std::string join_without(std::vector<std::string> parts, std::size_t index) {
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(index));
    std::string list;
    for (std::size_t i = 0; i < parts.size(); ++i)
        list.append(i == 0 ? "" : ",").append(parts[i]);
    return list;
}

/// The host, hostaddr and port lists less the host that is being tried; empty when there is no other.
std::map<std::string, std::string> without_current_host(PGconn* raw) {
    const auto hosts = split(effective(raw, "host").value_or(""));
    const auto addresses = split(effective(raw, "hostaddr").value_or(""));
    const auto ports = split(effective(raw, "port").value_or(""));
    const std::size_t count = std::max(hosts.size(), addresses.size());
    if (count < 2) return {};

    const std::string_view host = PQhost(raw) ? PQhost(raw) : "";
    const std::string_view port = PQport(raw) ? PQport(raw) : "";
    std::size_t current = 0;
    for (std::size_t i = 0; i < count; ++i) {
        const bool same_host =
            (i < hosts.size() && hosts[i] == host) || (i < addresses.size() && addresses[i] == host);
        const bool same_port = ports.size() == count ? ports[i] == port : true;
        if (same_host && same_port) {
            current = i;
            break;
        }
    }
    std::map<std::string, std::string> narrowed;
    for (const auto& [key, parts] : {std::pair{"host", hosts}, {"hostaddr", addresses}, {"port", ports}})
        if (parts.size() == count) narrowed[key] = join_without(parts, current);
    return narrowed;
}

/// libpq applies connect_timeout only in its blocking calls, so it is read here: seconds for each host, 0 for none.
/// \throws error invalid_argument - it is no whole number
std::chrono::milliseconds connect_timeout(const std::string& given) {
    long seconds = 0;
    const auto* const end = given.data() + given.size();
    const auto [read, failure] = std::from_chars(given.data(), end, seconds);
    if (failure != std::errc() || read != end)
        throw error(errc::invalid_argument, "connection_string",
                    "connect_timeout is \"" + given + "\", which is not a whole number of seconds");
    return seconds <= 0 ? std::chrono::milliseconds::max() : std::chrono::seconds(std::min(seconds, 86'400L));
}

enum class attempt { connected, failed, timed_out };

enum class waited { ready, again, timed_out };

/// Waits a moment for the socket.
/// \throws error closed - it has been cancelled
waited wait_for(PGconn* raw, short events, clock::time_point deadline,
                const std::function<bool()>& cancelled) {
    using namespace std::chrono_literals;
    if (cancelled()) throw error(errc::closed, "connect", "given up: the pool is closing");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - clock::now());
    if (left <= 0ms) return waited::timed_out;
    pollfd entry{PQsocket(raw), events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::min(left, 100ms).count()));
    return ready > 0 || (ready < 0 && errno != EINTR) ? waited::ready : waited::again;
}

attempt drive(PGconn* raw, clock::time_point deadline, const std::function<bool()>& cancelled) {
    auto wants = PGRES_POLLING_WRITING;
    while (wants != PGRES_POLLING_OK) {
        if (wants == PGRES_POLLING_FAILED) return attempt::failed;
        switch (wait_for(raw, wants == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, cancelled)) {
        case waited::ready: wants = PQconnectPoll(raw); break;
        case waited::again: break;
        case waited::timed_out: return attempt::timed_out;
        }
    }
    return attempt::connected;
}

/// Waits for the answer to what was sent. Null: there is none in time, or the connection is lost.
std::shared_ptr<PGresult> answer_of(PGconn* raw, clock::time_point deadline,
                                    const std::function<bool()>& cancelled) {
    for (int unsent = PQflush(raw); unsent > 0 || PQisBusy(raw); unsent = PQflush(raw)) {
        if (unsent < 0) return nullptr;
        const auto events = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN);
        const auto how = wait_for(raw, events, deadline, cancelled);
        if (how == waited::timed_out || (how == waited::ready && PQconsumeInput(raw) != 1)) return nullptr;
    }
    std::shared_ptr<PGresult> first(PQgetResult(raw), PQclear);
    while (auto* more = PQgetResult(raw))
        PQclear(more);
    return first;
}

/// What a new connection's server says of itself.
struct introduction {
    backend who{};
    bool needs_isolation = false; ///< session::needs_isolation
};

/// Asks who answers on a new connection. Sets the timeout of statements that take too long, READ COMMITTED as the default,
/// which the SQL of pgstate assumes and a role can have otherwise, and how often the server looks whether its client is
/// there. A server that does not say is used all the same.
/// \throws error unavailable - the connection is lost, or there is no answer in time
introduction introduce(PGconn* raw, std::chrono::milliseconds statement_timeout, clock::time_point deadline,
                       const std::function<bool()>& cancelled) {
    // A pooler makes up the number that it gives its clients: there nothing may be set.
    constexpr auto question =
        "SELECT pg_backend_pid() = $1::int, (extract(epoch FROM a.backend_start) * 1000000)::bigint,"
        " (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint,"
        " (SELECT timeline_id FROM pg_control_checkpoint()),"
        " (extract(epoch FROM pg_stat_get_bgwriter_stat_reset_time()) * 1000000)::bigint,"
        " current_setting('default_transaction_isolation') <> 'read committed',"
        " pg_snapshot_xmin(pg_current_snapshot()),"
        " CASE WHEN pg_backend_pid() = $1::int AND $2::text <> '0'"
        " AND (SELECT source IN ('default', 'configuration file') AND setting = '0' FROM pg_catalog.pg_settings"
        " WHERE name = 'statement_timeout') THEN set_config('statement_timeout', $2::text, false) END,"
        " CASE WHEN pg_backend_pid() = $1::int"
        " THEN set_config('default_transaction_isolation', 'read committed', false) END,"
        // A process that waits for a lock does not notice by itself that its client is gone. Not all systems can look.
        " CASE WHEN pg_backend_pid() = $1::int AND version() LIKE '%linux%'"
        " AND current_setting('client_connection_check_interval', true) = '0'"
        " THEN set_config('client_connection_check_interval', '500ms', false) END"
        " FROM pg_catalog.pg_stat_get_activity(pg_backend_pid()) a";
    const int pid = PQbackendPID(raw);
    const auto pid_text = std::to_string(pid);
    const auto timeout_text = std::to_string(statement_timeout.count());
    const std::array<const char*, 2> values{pid_text.c_str(), timeout_text.c_str()};
    std::shared_ptr<PGresult> answer;
    if (PQsetnonblocking(raw, 1) == 0 &&
        PQsendQueryParams(raw, question, 2, nullptr, values.data(), nullptr, nullptr, 0) == 1)
        answer = answer_of(raw, deadline, cancelled);
    if (!answer || PQstatus(raw) != CONNECTION_OK || PQsetnonblocking(raw, 0) != 0)
        throw error(errc::unavailable, "connect", "the new connection was lost, or did not answer in time");
    introduction made;
    if (PQresultStatus(answer.get()) != PGRES_TUPLES_OK || PQntuples(answer.get()) != 1) return made;
    const auto says_true = [&](int column) { return PQgetvalue(answer.get(), 0, column)[0] == 't'; };
    if (!says_true(0) || PQgetisnull(answer.get(), 0, 1)) {
        made.needs_isolation = says_true(5);
        return made;
    }
    const auto number = [&](int column) {
        const std::string_view text = PQgetvalue(answer.get(), 0, column);
        std::int64_t value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    };
    made.who = {.pid = pid,
                .started = number(1),
                .of = {number(2), number(3), number(4)},
                .xmin = static_cast<std::uint64_t>(number(6))};
    return made;
}

void ignore_notice(void*, const char*) {}

} // namespace

void check_connection_string(const std::string& conninfo) {
    char* message = nullptr;
    const std::unique_ptr<PQconninfoOption, free_options> options(
        PQconninfoParse(conninfo.c_str(), &message));
    const std::unique_ptr<char, void (*)(void*)> owner(message, PQfreemem);
    for (auto* option = options.get(); option && option->keyword; ++option)
        if (option->val && *option->val && std::string_view(option->keyword) == "connect_timeout")
            connect_timeout(option->val);
    if (options) return;
    throw error(errc::invalid_argument, "connection_string",
                conninfo_refusal(message ? message : "", conninfo));
}

destination destination_of(const std::string& conninfo) {
    destination to;
    std::string user;
    std::string address;
    const auto read = [&](PQconninfoOption* options) {
        for (auto* option = options; option && option->keyword; ++option) {
            if (!option->val || !*option->val) continue;
            const std::string_view key = option->keyword;
            const std::string first = split(option->val).front();
            if (key == "host")
                to.address = first;
            else if (key == "hostaddr")
                address = first;
            else if (key == "port")
                std::from_chars(first.data(), first.data() + first.size(), to.port);
            else if (key == "dbname")
                to.database = option->val;
            else if (key == "user")
                user = option->val;
        }
    };
    // Not PQconndefaults: it reads the service file, and asks the name service for the user. This runs in the event loop.
    const auto environment = [](const char* name) -> std::string {
        const char* const value = std::getenv(name);
        return value ? value : "";
    };
    to.address = split(environment("PGHOST")).front();
    address = split(environment("PGHOSTADDR")).front();
    to.port = 5432; // libpq's own default
    const auto port = split(environment("PGPORT")).front();
    std::from_chars(port.data(), port.data() + port.size(), to.port);
    to.database = environment("PGDATABASE");
    user = environment("PGUSER");
    read(std::unique_ptr<PQconninfoOption, free_options>(PQconninfoParse(conninfo.c_str(), nullptr)).get());
    if (to.address.empty()) to.address = address;
    if (to.database.empty()) to.database = user; // libpq's rule
    return to;
}

std::shared_ptr<session> session::connect(const connect_options& options,
                                          const std::function<bool()>& cancelled) {
    std::map<std::string, std::string> narrowed;
    std::string timed_out; // what was said of the hosts before
    for (;;) {
        auto raw = start(options.conninfo, narrowed);
        PQsetNoticeProcessor(raw.get(), ignore_notice, nullptr);
        PQsetErrorVerbosity(raw.get(), PQERRORS_VERBOSE); // the only way to learn a failed connect's SQLSTATE
        const auto given = effective(raw.get(), "connect_timeout"); // also the environment's, or a service's
        const auto timeout = given ? connect_timeout(*given) : options.timeout;
        const auto now = clock::now();
        const auto deadline = detail::deadline_after(now, timeout);
        const auto outcome =
            PQstatus(raw.get()) == CONNECTION_BAD ? attempt::failed : drive(raw.get(), deadline, cancelled);

        if (outcome == attempt::connected) {
            PQsetErrorVerbosity(raw.get(), PQERRORS_DEFAULT);
            const auto known = introduce(raw.get(), options.statement_timeout, deadline, cancelled);
            return std::make_shared<session>(raw.release(), known.who, known.needs_isolation);
        }
        if (outcome == attempt::failed) {
            const auto failure = parse_connect_failure(PQerrorMessage(raw.get()));
            error unavailable(errc::unavailable, "connect", timed_out + failure.message);
            unavailable.with_sqlstate(failure.sqlstate);
            throw unavailable;
        }
        timed_out += std::string("connection to \"") + (PQhost(raw.get()) ? PQhost(raw.get()) : "") +
                     "\" port " + (PQport(raw.get()) ? PQport(raw.get()) : "") + " timed out after " +
                     std::to_string(timeout.count()) + " ms; ";
        auto rest = without_current_host(raw.get());
        if (rest.empty())
            throw error(errc::unavailable, "connect", timed_out.substr(0, timed_out.size() - 2));
        narrowed = std::move(rest);
    }
}

session::session(pg_conn* raw, wire::backend of, bool needs_isolation)
    : raw_(raw), backend_(of), needs_isolation_(needs_isolation) {
    raw_connection guard(raw);
    if (const auto wanted = effective(raw, "target_session_attrs"); wanted == "primary")
        wanted_ = writer::primary;
    else if (wanted == "read-write")
        wanted_ = writer::read_write;
    owner_ = std::unique_ptr<pqxx::connection>(
        new pqxx::connection(pqxx::connection::seize_raw_connection(guard.release())));
}

session::~session() = default;

int session::socket() const noexcept {
    return PQsocket(raw_);
}

bool session::enter_pipeline() {
    return alive() && PQsetnonblocking(raw_, 1) == 0 && PQenterPipelineMode(raw_) == 1;
}

pqxx::connection& session::enter_blocking() {
    if (!alive() || PQexitPipelineMode(raw_) != 1 || PQsetnonblocking(raw_, 0) != 0)
        throw error(errc::unavailable, "connect", "the connection was lost while it was idle");
    return *owner_;
}

bool session::clean_up() {
    if (!alive()) return false;
    // pqxx code that got hold of the modes put them where it liked.
    if (PQpipelineStatus(raw_) != PQ_PIPELINE_OFF || PQisnonblocking(raw_)) return false;
    while (auto* leftover = PQgetResult(raw_)) {
        const auto status = PQresultStatus(leftover);
        PQclear(leftover);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) return false;
    }
    if (PQtransactionStatus(raw_) != PQTRANS_IDLE) PQclear(PQexec(raw_, "ROLLBACK"));
    return PQtransactionStatus(raw_) == PQTRANS_IDLE;
}

bool session::alive() const noexcept {
    return PQstatus(raw_) == CONNECTION_OK;
}

bool session::demoted() const noexcept {
    if (wanted_ == writer::any) return false;
    return standby() || (wanted_ == writer::read_write && is_on("default_transaction_read_only"));
}

bool session::standby() const noexcept {
    return is_on("in_hot_standby");
}

bool session::is_on(const char* parameter) const noexcept {
    const char* value = PQparameterStatus(raw_, parameter);
    return value && std::string_view(value) == "on";
}

} // namespace pgstate::wire
