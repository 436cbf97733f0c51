#include "telemetry/hub.hpp"

#include "telemetry/instruments.hpp"

#include <boost/container/static_vector.hpp>

#include <algorithm>

namespace pgstate::telemetry {
namespace {

// More kinds of failures than this are counted together: a label must not grow without bounds.
constexpr std::size_t most_rare_series = 300;
constexpr std::string_view other = "_OTHER";

double seconds(clock::duration what) noexcept {
    return std::chrono::duration<double>(what).count();
}

class attribute_list {
public:
    void add(std::string_view key, attribute_value value) { list_.push_back({key, value}); }
    /// \param type  its error_type, which must outlive this
    void add_failure(const error& failure, const std::string& type) {
        add("error.type", std::string_view(type));
        if (!failure.sqlstate().empty()) add("db.response.status_code", std::string_view(failure.sqlstate()));
    }
    operator std::span<const attribute>() const noexcept { return {list_.data(), list_.size()}; }

private:
    boost::container::static_vector<attribute, 24> list_;
};

std::int64_t integer(std::size_t value) noexcept {
    return static_cast<std::int64_t>(value);
}

log_level level_of(const error& failure) noexcept {
    if (failure == errc::corrupt_state || failure == errc::schema_mismatch) return log_level::error;
    // Of what is refused there may be very much: a line for each would add to the load.
    const bool expected = failure == errc::overloaded || failure == errc::conflict ||
                          failure == errc::not_found || failure == errc::invalid_argument ||
                          failure == errc::closed || failure == errc::callback_failed ||
                          error_type(failure) == "cancelled";
    return expected ? log_level::debug : log_level::warn;
}

/// Rather than "connection_lost".
bool is_sqlstate(std::string_view error) noexcept {
    return make_sqlstate(error) != sqlstate{};
}

/// Whether what() is of pgstate's own making: a message of the server's, or of a user's function, may quote contents.
bool tells_no_contents(const error& failure) noexcept {
    return failure == errc::unavailable || failure == errc::pool_exhausted || failure == errc::timed_out ||
           failure == errc::outcome_unknown || failure == errc::schema_mismatch || failure == errc::closed ||
           failure == errc::overloaded;
}

/// Where the time of an operation went.
struct breakdown {
    clock::duration total;
    clock::duration queued{0};   ///< until it was sent, or had a connection to itself
    clock::duration server{0};   ///< until it was answered
    clock::duration function{0}; ///< the user's, with the connection
    clock::duration delivery{0}; ///< until its caller has the answer

    explicit breakdown(const operation_report& what) noexcept : total(what.ended - what.began) {
        if (happened(what.first_sent)) {
            queued = what.first_sent - what.began;
            server = (happened(what.answered) ? what.answered : what.ended) - what.first_sent;
            delivery = total - queued - server;
        } else {
            queued = (happened(what.acquired) ? what.acquired : what.ended) - what.began;
            function = total - queued;
        }
    }
    std::string_view cause() const noexcept {
        const auto most = std::max({queued, server, function, delivery});
        return most == server     ? "database"
               : most == function ? "function"
               : most == queued   ? "queue"
                                  : "delivery";
    }
};

/// What spans and log records say of a statement.
attribute_list described(const sent_statement& what, const statement_outcome& how) {
    attribute_list attributes;
    attributes.add("db.operation.name", name_of(what.operation));
    attributes.add("db.query.summary", std::string_view(what.summary));
    if (!what.name.empty()) attributes.add("pgstate.statement.name", std::string_view(what.name));
    if (what.operations > 1) attributes.add("db.operation.batch.size", integer(what.operations));
    attributes.add("pgstate.statement.attempt", integer(what.attempt));
    attributes.add("db.response.returned_rows", std::int64_t{how.rows});
    if (is_sqlstate(how.error)) attributes.add("db.response.status_code", std::string_view(how.error));
    return attributes;
}

} // namespace

std::shared_ptr<hub> hub::create(options chosen) {
    if (!chosen.logger && !chosen.metrics && !chosen.tracer) return nullptr;
    return std::make_shared<hub>(std::move(chosen));
}

hub::hub(options chosen)
    : options_(std::move(chosen)),
      pool_name_(options_.where.address + ":" + std::to_string(options_.where.port) + "/" +
                 options_.where.database) {
    // So that its first step is seen as one.
    if (options_.metrics) guarded([&] { record_rare(instruments::acquire_timeouts, owner::pool, {}, 0); });
}

std::vector<attribute> hub::with_place(owner whose, std::span<const attribute> labels) const {
    std::vector<attribute> all(labels.begin(), labels.end());
    all.push_back({"db.system.name", std::string_view("postgresql")});
    all.push_back({"db.namespace", std::string_view(options_.where.database)});
    if (whose == owner::pool)
        all.push_back({"db.client.connection.pool.name", std::string_view(pool_name_)});
    else
        all.push_back({"db.collection.name", std::string_view(options_.where.table)});
    return all;
}

void hub::operation_ended(const operation_report& what, span* traced) noexcept {
    if (options_.metrics) guarded([&] { count_operation(what); });
    if (options_.logger) guarded([&] { log_operation(what); });
    if (!traced) return;
    guarded([&] {
        const attribute statements{"pgstate.statements", integer(what.statements)};
        traced->set({&statements, 1});
    });
    end(*traced, what.ended, what.failure);
}

void hub::statement_ended(const sent_statement& what, const statement_outcome& how) noexcept {
    if (options_.metrics) guarded([&] { count_statement(what, how); });
    if (options_.tracer) guarded([&] { trace_statement(what, how); });
    if (options_.logger) guarded([&] { log_statement(what, how); });
}

void hub::connect_ended(clock::time_point began, clock::time_point ended, const error* failure) noexcept {
    std::string type;
    if (failure) type = failure->sqlstate().empty() ? error_type(*failure) : failure->sqlstate();
    const auto took = seconds(ended - began);
    guarded([&] {
        const attribute reason{"error.type", std::string_view(type)};
        if (options_.metrics && failure)
            record_rare(instruments::connect_failures, owner::pool, {&reason, 1}, 1);
        else if (options_.metrics)
            create_time_.record(took, [&] { return open(instruments::create_time, owner::pool, {}); });
    });
    if (const auto traced =
            start({.name = "pgstate.connect", .kind = span_kind::client, .at = began}, owner::pool))
        guarded([&] { traced->end(ended, type); });
    guarded([&] {
        const auto level = failure ? log_level::warn : log_level::info;
        if (!logs(level)) return;
        attribute_list attributes;
        attributes.add("server.address", std::string_view(options_.where.address));
        if (options_.where.port != 0) attributes.add("server.port", options_.where.port);
        attributes.add("duration", took);
        if (failure) {
            attributes.add_failure(*failure, type);
            attributes.add("error.message", std::string_view(failure->what()));
        }
        log(level, failure ? "connect failed" : "connected", attributes);
    });
}

void hub::log_life(std::string_view message) noexcept {
    guarded([&] {
        if (logs(log_level::info)) log(log_level::info, message, with_place(owner::store, {}));
    });
}

void hub::log_protected(std::uint64_t states, std::string_view sqlstate) noexcept {
    guarded([&] {
        if (!logs(log_level::warn)) return;
        attribute_list attributes;
        attributes.add("db.operation.name", name_of(operation_id::sweep));
        attributes.add("db.collection.name", std::string_view(options_.where.table));
        attributes.add("pgstate.sweep.protected", integer(states));
        if (!sqlstate.empty()) attributes.add("db.response.status_code", sqlstate);
        log(log_level::warn, "expired states could not be deleted", attributes);
    });
}

std::unique_ptr<span> hub::start(span_start what, owner whose) noexcept {
    std::unique_ptr<span> started;
    if (options_.tracer)
        guarded([&] {
            auto attributes = with_place(whose, what.attributes);
            if (what.kind == span_kind::client) {
                attributes.push_back({"server.address", std::string_view(options_.where.address)});
                if (options_.where.port != 0) attributes.push_back({"server.port", options_.where.port});
            }
            what.attributes = attributes;
            started = options_.tracer->start(what);
        });
    return started;
}

span_context hub::current() noexcept {
    span_context now;
    if (options_.tracer) guarded([&] { now = options_.tracer->current(); });
    return now;
}

std::unique_ptr<tracer::scope> hub::activate(span& what) noexcept {
    std::unique_ptr<tracer::scope> active;
    guarded([&] { active = options_.tracer->activate(what); });
    return active;
}

void hub::trace_statement(const sent_statement& what, const statement_outcome& how) {
    const auto attributes = described(what, how);
    span_start begin{
        .name = what.summary, .kind = span_kind::client, .at = what.sent, .attributes = attributes};
    if (what.operations == 1 && what.callers.size() == 1)
        begin.parent = what.callers.front();
    else
        begin.links = what.callers;
    if (const auto traced = start(begin)) traced->end(how.answered, how.error);
}

void end(span& traced, clock::time_point at, const error* failure) noexcept {
    guarded([&] {
        if (failure && !failure->sqlstate().empty()) {
            const attribute code{"db.response.status_code", std::string_view(failure->sqlstate())};
            traced.set({&code, 1});
        }
        traced.end(at, failure ? error_type(*failure) : std::string());
    });
}

std::unique_ptr<metrics::series> hub::open(const instrument& what, owner whose,
                                           std::span<const attribute> labels) const {
    return options_.metrics->open(what, with_place(whose, labels));
}

void hub::record(series_slot& to, const instrument& what, operation_id operation, double value) {
    to.record(value, [&] {
        const attribute label{"db.operation.name", name_of(operation)};
        return open(what, owner::store, {&label, 1});
    });
}

/// Into a series whose labels are known only when it happens.
void hub::record_rare(const instrument& what, owner whose, std::span<const attribute> labels, double value) {
    std::vector<attribute> copies(labels.begin(), labels.end());
    const auto key = [&] {
        std::string text;
        for (const auto& each : copies)
            text.append(std::get<std::string_view>(each.value)).push_back('\n');
        return rare_key(&what, text);
    };
    series_slot* to = nullptr;
    {
        const std::lock_guard guard(mutex_);
        if (rare_.size() >= most_rare_series && !rare_.contains(key()))
            for (auto& each : copies)
                each.value = other;
        auto& slot = rare_[key()];
        if (!slot) slot = std::make_unique<series_slot>();
        to = slot.get();
    }
    to->record(value, [&] { return open(what, whose, copies); });
}

void hub::record_wait(clock::duration wait) {
    acquire_wait_.record(seconds(wait), [&] { return open(instruments::acquire_wait, owner::pool, {}); });
}

void hub::count_operation(const operation_report& what) {
    const auto took = seconds(what.ended - what.began);
    // A statement tells how long its connection was waited for; these had one without any.
    if (happened(what.acquired) && !happened(what.first_sent)) record_wait(what.acquired - what.began);
    if (!what.failure)
        return record(successes_[static_cast<std::size_t>(what.operation)].duration,
                      instruments::operation_duration, what.operation, took);
    const auto type = error_type(*what.failure);
    const attribute labels[] = {{"db.operation.name", name_of(what.operation)},
                                {"error.type", std::string_view(type)}};
    record_rare(instruments::operation_duration, owner::store, labels, took);
    if (*what.failure == errc::pool_exhausted) record_rare(instruments::acquire_timeouts, owner::pool, {}, 1);
}

void hub::count_statement(const sent_statement& what, const statement_outcome& how) {
    auto& mine = successes_[static_cast<std::size_t>(what.operation)];
    const attribute operation{"db.operation.name", name_of(what.operation)};
    const auto took = seconds(how.answered - what.sent);
    if (how.error.empty()) {
        record(mine.statement, instruments::statement_duration, what.operation, took);
    } else {
        const attribute labels[] = {operation, {"error.type", std::string_view(how.error)}};
        record_rare(instruments::statement_duration, owner::store, labels, took);
    }
    if (happened(what.oldest))
        record(mine.queue_wait, instruments::queue_wait, what.operation, seconds(what.sent - what.oldest));
    record(mine.batch, instruments::batch_size, what.operation, static_cast<double>(what.operations));
    if (!how.sent_again_because.empty()) {
        const attribute labels[] = {operation, {"pgstate.retry.reason", how.sent_again_because}};
        record_rare(instruments::retries, owner::store, labels, static_cast<double>(what.operations));
    }
    if (how.acquire_wait) record_wait(*how.acquire_wait);
}

void hub::show(observations& to, const instrument& what, owner whose, std::initializer_list<attribute> labels,
               std::function<double()> read) noexcept {
    if (!options_.metrics) return;
    guarded([&] {
        auto begun = options_.metrics->observe(what, with_place(whose, {labels.begin(), labels.size()}),
                                               std::move(read));
        if (begun) to.push_back(std::move(begun));
    });
}

bool hub::logs(log_level level) const {
    return options_.logger && options_.logger->enabled(level);
}

void hub::log(log_level level, std::string_view message, std::span<const attribute> attributes) const {
    log_record record;
    record.level = level;
    record.message = message;
    record.attributes = attributes;
    options_.logger->log(record);
}

void hub::log_operation(const operation_report& what) const {
    const breakdown spent(what);
    const bool slow = options_.slow_operation.count() > 0 && spent.total >= options_.slow_operation;
    auto level = what.failure ? level_of(*what.failure) : log_level::debug;
    if (slow) level = std::max(level, log_level::warn);
    if (what.failure && what.failing) level = log_level::debug;
    if (!logs(level)) return;

    attribute_list attributes;
    attributes.add("db.operation.name", name_of(what.operation));
    attributes.add("db.collection.name", std::string_view(options_.where.table));
    attributes.add("duration", seconds(spent.total));
    std::string type;
    if (what.failure) {
        type = error_type(*what.failure);
        attributes.add_failure(*what.failure, type);
        if (tells_no_contents(*what.failure) || (options_.log_ids && *what.failure == errc::corrupt_state))
            attributes.add("error.message", std::string_view(what.failure->what()));
    }
    std::string hashes[2];
    const auto add_id = [&](std::string_view id, std::string_view id_key, std::string_view hash_key,
                            std::string& hash) {
        if (id.empty()) return;
        if (options_.log_ids) return attributes.add(id_key, id);
        hash = hash_of(id);
        attributes.add(hash_key, std::string_view(hash));
    };
    add_id(what.agent_id, "pgstate.agent.id", "pgstate.agent.hash", hashes[0]);
    add_id(what.session_id, "pgstate.session.id", "pgstate.session.hash", hashes[1]);
    attributes.add("pgstate.queue.wait", seconds(spent.queued));
    if (happened(what.first_sent)) {
        attributes.add("pgstate.server.time", seconds(spent.server));
        attributes.add("pgstate.delivery.time", seconds(spent.delivery));
        attributes.add("pgstate.statements", integer(what.statements));
    } else if (happened(what.acquired)) {
        attributes.add("pgstate.function.time", seconds(spent.function));
    }
    if (slow) attributes.add("pgstate.slow.cause", spent.cause());
    if (what.statement) {
        attributes.add("db.query.summary", std::string_view(what.statement->summary));
        if (!what.statement->name.empty())
            attributes.add("pgstate.statement.name", std::string_view(what.statement->name));
        attributes.add("db.operation.batch.size", integer(what.statement->operations));
    }
    log(level,
        what.failure ? (slow ? "slow operation failed" : "operation failed")
                     : (slow ? "slow operation" : "operation"),
        attributes);
}

void hub::log_statement(const sent_statement& what, const statement_outcome& how) const {
    const bool again = !how.sent_again_because.empty();
    const auto level = again ? log_level::warn : log_level::trace;
    if (!logs(level)) return;
    auto attributes = described(what, how);
    attributes.add("duration", seconds(how.answered - what.sent));
    if (!how.error.empty()) attributes.add("error.type", std::string_view(how.error));
    if (again) attributes.add("pgstate.retry.reason", how.sent_again_because);
    log(level, again ? "statement failed and is sent again" : "statement", attributes);
}

} // namespace pgstate::telemetry
