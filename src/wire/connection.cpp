#include "wire/connection.hpp"

#include "pgstate/error.hpp"
#include "wire/connect_message.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <boost/container/small_vector.hpp>

#include <libpq-fe.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

namespace pgstate::wire {
namespace {

// libpq closes its socket inside a failing PQconsumeInput and the number may be reused at once: Asio gets its own.
int duplicate(int socket) {
    const int copy = ::dup(socket);
    if (copy < 0)
        throw error(errc::unavailable, "connect", "no file descriptor left for the connection's socket");
    return copy;
}

exchange_fsm::event classify(ExecStatusType status) {
    using event = exchange_fsm::event;
    switch (status) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK: return event::rows;
    case PGRES_FATAL_ERROR: return event::error;
    case PGRES_PIPELINE_ABORTED: return event::aborted;
    case PGRES_PIPELINE_SYNC: return event::sync;
    default: return event::other;
    }
}

/// Whether a refusal's DETAIL is about the server or the schema. That of the other classes repeats values of rows or of
/// parameters, which may be a state's: "Failing row contains (...)", "Token ... is invalid". Classes as in the manual's
/// Appendix A.
bool tells_no_values(std::string_view sqlstate) {
    constexpr std::array<std::string_view, 7> classes{"0A", "25", "28", "42", "53", "55", "57"};
    return std::ranges::find(classes, sqlstate.substr(0, 2)) != classes.end();
}

server_error failure_of(const PGresult* result) {
    const auto field = [result](int code) {
        const char* text = PQresultErrorField(result, code);
        return std::string(text ? text : "");
    };
    server_error failure{field(PG_DIAG_SQLSTATE), field(PG_DIAG_MESSAGE_PRIMARY)};
    if (failure.message.empty()) failure.message = "the connection was lost";
    if (const auto detail = field(PG_DIAG_MESSAGE_DETAIL);
        !detail.empty() && tells_no_values(failure.sqlstate))
        failure.message.append("; detail: ").append(detail);
    if (const auto hint = field(PG_DIAG_MESSAGE_HINT); !hint.empty())
        failure.message.append("; hint: ").append(hint);
    return failure;
}

/// What libpq held of the answer at once, where that may be much; 0 otherwise.
std::size_t largest_row(const PGresult* result) {
    if (PQresultMemorySize(result) <= connection::max_kept_bytes) return 0;
    std::size_t largest = 0;
    for (int row = 0; row < PQntuples(result); ++row) {
        std::size_t bytes = 0;
        for (int column = 0; column < PQnfields(result); ++column)
            bytes += static_cast<std::size_t>(PQgetlength(result, row, column));
        largest = std::max(largest, bytes);
    }
    return largest;
}

/// Begins an exchange where the role's default is another level, and cannot be changed for the session.
const statement read_committed{{}, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", {}, {}};

// Decrypted bytes can wait inside OpenSSL while the socket is silent.
bool has_decrypted_bytes(PGconn* raw) {
    auto* tls = PQsslInUse(raw) ? static_cast<SSL*>(PQsslStruct(raw, "OpenSSL")) : nullptr;
    return tls && SSL_pending(tls) > 0;
}

} // namespace

connection::connection(boost::asio::any_io_executor io, std::shared_ptr<session> owned)
    : executor_(io), socket_(io, duplicate(owned->socket())), session_(std::move(owned)) {
    if (!session_->enter_pipeline()) throw error(errc::unavailable, "connect", "the new connection was lost");
}

connection::~connection() = default;

void connection::use_executor(boost::asio::any_io_executor strand) {
    executor_ = std::move(strand);
}

void connection::send(const statement& what, const parameters& values, statement_mode mode,
                      reply_handler handler, std::span<const step> before) {
    auto& exchange = pending_.emplace_back();
    exchange.handler = std::move(handler);
    if (session_ && session_->needs_isolation()) exchange.steps.push_back({&read_committed});
    const std::size_t first = exchange.steps.size();
    for (const auto& each : before)
        exchange.steps.push_back({.what = each.what, .tells = each.tells});
    exchange.steps.push_back({&what});
    if (broken_) return lose({"", "the connection was lost"});

    bool sent = first == 0 || put(read_committed, parameters(), mode, exchange.steps.front());
    for (std::size_t i = 0; sent && i < before.size(); ++i)
        sent = put(*before[i].what, *before[i].values, mode, exchange.steps[first + i]);
    sent = sent && put(what, values, mode, exchange.steps.back()) && PQpipelineSync(session_->raw()) == 1;
    std::size_t results = 0;
    for (const auto& each : exchange.steps)
        results += each.results();
    fsm_.sent(results - 1);
    if (!sent) return lose({"", "the connection was lost while sending"});
    pump();
}

/// Hands libpq one statement, and what prepares it where that was not done yet.
bool connection::put(const statement& what, const parameters& values, statement_mode mode, sent_step& as) {
    auto* raw = session_->raw();
    constexpr std::size_t usually_at_most = 4;
    boost::container::small_vector<const char*, usually_at_most> texts;
    boost::container::small_vector<int, usually_at_most> lengths;
    boost::container::small_vector<int, usually_at_most> formats;
    boost::container::small_vector<Oid, usually_at_most> types;
    for (std::size_t i = 0; i < values.size(); ++i) {
        texts.push_back(values.value(i).data());
        lengths.push_back(static_cast<int>(values.value(i).size()));
        formats.push_back(values.format(i));
        types.push_back(static_cast<Oid>(what.parameters[i]));
    }
    const auto count = static_cast<int>(values.size());
    held(unsent_ += values.bytes());

    const bool named = mode == statement_mode::prepared && !what.name.empty() &&
                       !session_->forgets_statements && !session_->outdated.contains(&what);
    if (!named)
        return PQsendQueryParams(raw, what.sql.c_str(), count, types.data(), texts.data(), lengths.data(),
                                 formats.data(), 1) == 1;
    as.prepares = session_->prepared.insert(&what).second;
    if (as.prepares && PQsendPrepare(raw, what.name.c_str(), what.sql.c_str(), count, types.data()) != 1)
        return false;
    return PQsendQueryPrepared(raw, what.name.c_str(), count, texts.data(), lengths.data(), formats.data(),
                               1) == 1;
}

bool connection::check_idle() {
    if (broken_ || !session_) return false;
    auto* raw = session_->raw();
    pollfd entry{session_->socket(), POLLIN, 0};
    if (::poll(&entry, 1, 0) == 0 && !has_decrypted_bytes(raw)) return !session_->demoted();
    // Nothing was asked, so nothing but notices and parameter changes may come. Twice: the end of the stream can stand
    // behind the server's farewell, which is read first.
    for (int times = 0; times < 2; ++times)
        if (PQconsumeInput(raw) != 1 || !session_->alive()) broken_ = true;
    PQisBusy(raw); // parses what came
    if (!session_->alive()) broken_ = true;
    while (auto* notification = PQnotifies(raw))
        PQfreemem(notification);
    return !broken_ && !session_->demoted();
}

void connection::abandon(const std::string& why) {
    lose({"", why});
}

std::shared_ptr<session> connection::lend_session() {
    return broken_ ? nullptr : std::move(session_);
}

void connection::return_session(std::shared_ptr<session> owned) {
    session_ = std::move(owned);
    if (!session_ || !session_->enter_pipeline()) broken_ = true;
}

void connection::pump() {
    // Negative: it failed. What the server said before it hung up may still be there to read: on_ready finds it.
    const int left = PQflush(session_->raw());
    writing_ = writing_ && left > 0;
    if (left == 0) unsent_ = 0;
    wait();
    if (left > 0 && !writing_) {
        writing_ = true;
        socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                           boost::asio::bind_executor(executor_, [self = shared_from_this()](auto failed) {
                               self->writing_ = false;
                               if (!failed && !self->broken_ && self->session_) self->pump();
                           }));
    }
}

void connection::wait() {
    if (reading_ || broken_ || fsm_.in_flight() == 0) return;
    reading_ = true;
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                       boost::asio::bind_executor(executor_, [self = shared_from_this()](auto failed) {
                           self->reading_ = false;
                           if (!failed && !self->broken_) self->on_ready();
                       }));
}

void connection::on_ready() {
    auto* raw = session_->raw();
    do {
        const bool read = PQconsumeInput(raw) == 1;
        receive();
        if (!broken_ && (!read || !session_->alive())) lose({"", "the server closed the connection"});
    } while (!broken_ && has_decrypted_bytes(raw));
    // Flushing may be what the server waits for before it goes on sending.
    if (!broken_) pump();
    std::deque<pending> done;
    done.swap(finished_);
    finish(done);
}

void connection::receive() {
    auto* raw = session_->raw();
    // Each result of a query is followed by a null; more of them in a row are libpq's word that nothing will come.
    for (int nulls = 0; !broken_ && fsm_.in_flight() > 0 && nulls < 3 && !PQisBusy(raw);) {
        if (auto* result = PQgetResult(raw)) {
            nulls = 0;
            take(result);
        } else {
            ++nulls;
        }
    }
}

void connection::take(void* raw_result) {
    std::shared_ptr<PGresult> result(static_cast<PGresult*>(raw_result), PQclear);
    const auto status = PQresultStatus(result.get());
    auto& head = pending_.front();
    const auto results_before = fsm_.results_before();
    switch (fsm_.resume(classify(status))) {
    case exchange_fsm::action::none: break;
    case exchange_fsm::action::before:
        if (status == PGRES_TUPLES_OK && head.steps[step_of(head, results_before).first].tells)
            head.answer.before = rows(std::move(result));
        break;
    case exchange_fsm::action::store_rows:
        held(largest_row(result.get()));
        head.answer.data = rows(std::move(result));
        break;
    case exchange_fsm::action::refuse:
        head.answer.failure = failure_of(result.get());
        head.answer.outcome = reply::status::refused;
        head.results_left = results_before;
        break;
    case exchange_fsm::action::complete:
        if (head.answer.failure.message.empty()) {
            head.answer.outcome = reply::status::ok;
        } else {
            learn_of_refusal(head);
            head.answer.data = {};
        }
        finished_.push_back(std::move(head));
        pending_.pop_front();
        break;
    case exchange_fsm::action::give_up: {
        // A process that is ended says so at any time, also behind another refusal.
        auto said = status == PGRES_FATAL_ERROR ? failure_of(result.get()) : server_error();
        const bool farewell = said.sqlstate.starts_with("57P");
        lose(farewell ? std::move(said) : server_error{"08P01", "the server's answers make no sense"});
        break;
    }
    }
}

std::pair<std::size_t, bool> connection::step_of(const pending& exchange, std::size_t left) {
    std::size_t at = exchange.steps.size() - 1;
    bool in_prepare = false;
    for (; left > 0; --left) {
        if (!in_prepare && exchange.steps[at].prepares) {
            in_prepare = true;
        } else {
            in_prepare = false;
            --at;
        }
    }
    return {at, in_prepare};
}

/// What a refused exchange says of its prepared statements: of its steps, [Parse] Bind Execute each, one was refused and
/// those after it were skipped.
void connection::learn_of_refusal(pending& over) {
    const auto [at, in_prepare] = step_of(over, over.results_left);
    auto& answer = over.answer;
    const std::size_t first = over.steps.front().what == &read_committed ? 1 : 0;
    answer.refused_before = at >= first && at + 1 < over.steps.size();
    for (std::size_t skipped = at + 1; skipped < over.steps.size(); ++skipped)
        if (over.steps[skipped].prepares) session_->prepared.erase(over.steps[skipped].what);
    remember_prepared(*over.steps[at].what, in_prepare, answer.failure.sqlstate);
}

void connection::remember_prepared(const statement& refused, bool in_prepare, std::string_view sqlstate) {
    // It was there, behind a pooler or from before. The name follows from the text, so it is the same.
    const bool exists = sqlstate == "42P05";
    const bool missing = sqlstate == "26000";
    // A pooler that gives one transaction to one server and the next to another.
    if (session_->backend().pid == 0 && (exists || missing)) session_->forgets_statements = true;
    auto& prepared = session_->prepared;
    if (in_prepare) {
        if (!exists) prepared.erase(&refused);
    } else if (!refused.name.empty()) { // else it never was prepared, and may not live long
        if (missing) prepared.erase(&refused);
        // Its plan no longer fits the table, and its name is taken by it.
        if (sqlstate == "0A000") session_->outdated.insert(&refused);
    }
}

void connection::finish(std::deque<pending>& done) {
    for (auto& each : done)
        each.handler(std::move(each.answer));
}

void connection::lose(server_error why) {
    broken_ = true;
    boost::system::error_code ignored;
    if (pending_.empty() || !socket_.is_open())
        socket_.close(ignored);
    else
        ending_.emplace(socket_.release());
    fsm_.clear();
    auto lost = std::make_shared<std::deque<pending>>(std::move(finished_));
    finished_.clear();
    for (auto& each : pending_) {
        // The server's last word (57P01 and the like) explains more than the lost connection that follows it.
        if (each.answer.failure.message.empty()) each.answer.failure = why;
        each.answer.outcome = reply::status::broken;
        each.answer.data = {};
        lost->push_back(std::move(each));
    }
    pending_.clear();
    if (lost->empty()) return;
    boost::asio::post(executor_, [self = shared_from_this(), lost] { self->finish(*lost); });
}

} // namespace pgstate::wire
