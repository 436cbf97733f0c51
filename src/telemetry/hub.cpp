#include "telemetry/hub.hpp"

#include "telemetry/instruments.hpp"

#include <boost/container/static_vector.hpp>

#include <algorithm>

namespace pgstate::telemetry {
namespace {

// More kinds of failures than this are counted together: a label must not grow without bounds.
constexpr std::size_t most_rare_series = 300;
constexpr std::string_view other = "_OTHER";

template <class Call>
void guarded(Call call) noexcept {
    try {
        call();
    } catch (...) {
        // The user's logger, metrics or tracer failed: that must not become the operation's failure.
    }
}

double seconds(clock::duration what) noexcept {
    return std::chrono::duration<double>(what).count();
}

bool happened(clock::time_point at) noexcept {
    return at != clock::time_point();
}

class attribute_list {
public:
    void add(std::string_view key, attribute_value value) { list_.push_back({key, value}); }
    operator std::span<const attribute>() const noexcept { return {list_.data(), list_.size()}; }

private:
    boost::container::static_vector<attribute, 24> list_;
};

std::int64_t integer(std::size_t value) noexcept {
    return static_cast<std::int64_t>(value);
}

log_level level_of(const error& failure) noexcept {
    if (failure == errc::corrupt_state || failure == errc::schema_mismatch) return log_level::error;
    const bool expected = failure == errc::conflict || failure == errc::not_found ||
                          failure == errc::invalid_argument || failure == errc::closed ||
                          failure == errc::callback_failed || error_type(failure) == "cancelled";
    return expected ? log_level::debug : log_level::warn;
}

/// Whether what() is of pgstate's own making: a message of the server's, or of a user's function, may quote contents.
bool tells_no_contents(const error& failure) noexcept {
    return failure == errc::unavailable || failure == errc::pool_exhausted || failure == errc::timed_out ||
           failure == errc::outcome_unknown || failure == errc::schema_mismatch || failure == errc::closed;
}

/// Where the time of an operation went.
struct breakdown {
    clock::duration total, queued, server, delivery;

    explicit breakdown(const operation_report& what) noexcept
        : total(what.ended - what.began), queued(total), server(0), delivery(0) {
        if (!happened(what.first_sent)) return;
        queued = what.first_sent - what.began;
        server = (happened(what.answered) ? what.answered : what.ended) - what.first_sent;
        delivery = total - queued - server;
    }
    std::string_view cause() const noexcept {
        if (server >= queued && server >= delivery) return "database";
        return queued >= delivery ? "queue" : "delivery";
    }
};

} // namespace

std::shared_ptr<const hub> hub::create(options chosen) {
    if (!chosen.logger && !chosen.metrics && !chosen.tracer) return nullptr;
    return std::make_shared<const hub>(std::move(chosen));
}

hub::hub(options chosen)
    : options_(std::move(chosen)),
      pool_name_(options_.where.address + ":" + std::to_string(options_.where.port) + "/" +
                 options_.where.database) {
    // So that its first step is seen as one.
    if (options_.metrics) guarded([&] { record_rare(instruments::acquire_timeouts, owner::pool, {}, 0); });
}

// --- spans -------------------------------------------------------------------------------------------------------

std::unique_ptr<span> hub::start(std::string_view name, span_kind kind, const span_context& parent,
                                 clock::time_point began, std::span<const attribute> more) const noexcept {
    std::unique_ptr<span> started;
    guarded([&] {
        if (!options_.tracer) return;
        span_start what;
        what.name = name;
        what.kind = kind;
        what.parent = parent;
        what.at = began;
        const auto attributes = with_place(owner::store, more);
        what.attributes = attributes;
        started = options_.tracer->start(what);
    });
    return started;
}

std::unique_ptr<span> hub::start_operation(operation_id what, const span_context& parent,
                                           clock::time_point began) const noexcept {
    span_context under = parent;
    if (!under.valid())
        guarded([&] {
            if (options_.tracer) under = options_.tracer->current();
        });
    const attribute operation{"db.operation.name", name_of(what)};
    return start(span_name_of(what), span_kind::internal, under, began, {&operation, 1});
}

std::unique_ptr<tracer::scope> hub::activate(span& what) const noexcept {
    std::unique_ptr<tracer::scope> active;
    guarded([&] { active = options_.tracer->activate(what); });
    return active;
}

void hub::finish_span(const operation_report& what, span& traced) const {
    attribute_list attributes;
    attributes.add("pgstate.statements", integer(what.attempts));
    std::string type;
    if (what.failure) {
        type = error_type(*what.failure);
        attributes.add("error.type", type);
        if (!what.failure->sqlstate().empty())
            attributes.add("db.response.status_code", what.failure->sqlstate());
    }
    traced.set(attributes);
    traced.end(what.ended, type);
}

// --- metrics -----------------------------------------------------------------------------------------------------

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

std::unique_ptr<metrics::series> hub::open(const instrument& what, owner whose,
                                           std::span<const attribute> labels) const {
    return options_.metrics->open(what, with_place(whose, labels));
}

void hub::record(series_slot& to, const instrument& what, operation_id operation, double value) const {
    to.record(value, [&] {
        const attribute label{"db.operation.name", name_of(operation)};
        return open(what, owner::store, {&label, 1});
    });
}

/// A series whose labels are known only when it happens.
void hub::record_rare(const instrument& what, owner whose, std::span<const attribute> labels,
                      double value) const {
    std::string text;
    for (const auto& each : labels)
        text.append(std::get<std::string_view>(each.value)).push_back('\n');
    series_slot* to = nullptr;
    bool full = false;
    {
        const std::lock_guard guard(mutex_);
        const auto at = rare_.find({&what, text});
        full = at == rare_.end() && rare_.size() >= most_rare_series;
        if (at != rare_.end())
            to = at->second.get();
        else if (!full)
            to = rare_.emplace(rare_key(&what, text), std::make_unique<series_slot>()).first->second.get();
        else
            to = rare_.try_emplace(rare_key(&what, other), std::make_unique<series_slot>())
                     .first->second.get();
    }
    to->record(value, [&] {
        if (!full) return open(what, whose, labels);
        std::vector<attribute> unspecific(labels.begin(), labels.end());
        for (auto& each : unspecific)
            each.value = other;
        return open(what, whose, unspecific);
    });
}

std::unique_ptr<metrics::observation> hub::observe(const instrument& what, owner whose,
                                                   std::initializer_list<attribute> labels,
                                                   std::function<double()> read) const noexcept {
    std::unique_ptr<metrics::observation> begun;
    guarded([&] {
        if (options_.metrics)
            begun = options_.metrics->observe(what, with_place(whose, {labels.begin(), labels.size()}),
                                              std::move(read));
    });
    return begun;
}

// --- log records -------------------------------------------------------------------------------------------------

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

void hub::log_life(std::string_view message) const noexcept {
    guarded([&] {
        if (logs(log_level::info)) log(log_level::info, message, with_place(owner::store, {}));
    });
}

void hub::log_operation(const operation_report& what) const {
    const breakdown spent(what);
    const bool slow = options_.slow_operation.count() > 0 && spent.total >= options_.slow_operation;
    auto level = what.failure ? level_of(*what.failure) : log_level::debug;
    if (slow) level = std::max(level, log_level::warn);
    if (!logs(level)) return;

    attribute_list attributes;
    attributes.add("db.operation.name", name_of(what.operation));
    attributes.add("db.collection.name", std::string_view(options_.where.table));
    attributes.add("duration", seconds(spent.total));
    std::string type;
    if (what.failure) {
        type = error_type(*what.failure);
        attributes.add("error.type", type);
        if (!what.failure->sqlstate().empty())
            attributes.add("db.response.status_code", what.failure->sqlstate());
        if (tells_no_contents(*what.failure) || (options_.log_ids && *what.failure == errc::corrupt_state))
            attributes.add("error.message", std::string_view(what.failure->what()));
    }
    std::string agent;
    std::string session;
    if (!what.agent_id.empty()) {
        if (!options_.log_ids) agent = hash_of(what.agent_id);
        attributes.add(options_.log_ids ? "pgstate.agent.id" : "pgstate.agent.hash",
                       options_.log_ids ? what.agent_id : std::string_view(agent));
    }
    if (!what.session_id.empty()) {
        if (!options_.log_ids) session = hash_of(what.session_id);
        attributes.add(options_.log_ids ? "pgstate.session.id" : "pgstate.session.hash",
                       options_.log_ids ? what.session_id : std::string_view(session));
    }
    attributes.add("pgstate.queue.wait", seconds(spent.queued));
    if (happened(what.first_sent)) {
        attributes.add("pgstate.server.time", seconds(spent.server));
        attributes.add("pgstate.delivery.time", seconds(spent.delivery));
        attributes.add("pgstate.statements", integer(what.attempts));
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

// --- what happens ------------------------------------------------------------------------------------------------

void hub::operation_ended(const operation_report& what, span* traced) const noexcept {
    if (options_.metrics)
        guarded([&] {
            auto& mine = successes_[static_cast<std::size_t>(what.operation)];
            const auto took = seconds(what.ended - what.began);
            if (!what.failure) {
                record(mine.duration, instruments::operation_duration, what.operation, took);
            } else {
                const auto type = error_type(*what.failure);
                const attribute labels[] = {{"db.operation.name", name_of(what.operation)},
                                            {"error.type", std::string_view(type)}};
                record_rare(instruments::operation_duration, owner::store, labels, took);
                if (*what.failure == errc::pool_exhausted)
                    record_rare(instruments::acquire_timeouts, owner::pool, {}, 1);
            }
        });
    if (options_.logger) guarded([&] { log_operation(what); });
    if (traced) guarded([&] { finish_span(what, *traced); });
}

void hub::statement_ended(const sent_statement& what, const statement_outcome& how) const noexcept {
    const auto took = how.answered - what.sent;
    if (options_.metrics)
        guarded([&] {
            auto& mine = successes_[static_cast<std::size_t>(what.operation)];
            const attribute labels[] = {{"db.operation.name", name_of(what.operation)},
                                        {"error.type", std::string_view(how.error)}};
            if (how.error.empty())
                record(mine.statement, instruments::statement_duration, what.operation, seconds(took));
            else
                record_rare(instruments::statement_duration, owner::store, labels, seconds(took));
            if (what.attempt == 1 && happened(what.oldest))
                record(mine.queue_wait, instruments::queue_wait, what.operation,
                       seconds(what.sent - what.oldest));
            record(mine.batch, instruments::batch_size, what.operation, static_cast<double>(what.operations));
            if (!how.sent_again_because.empty()) {
                const attribute again[] = {labels[0], {"pgstate.retry.reason", how.sent_again_because}};
                record_rare(instruments::retries, owner::store, again, static_cast<double>(what.operations));
            }
        });
    if (how.acquire_wait >= clock::duration::zero()) acquired(how.acquire_wait);

    const auto describe = [&](attribute_list& attributes) {
        attributes.add("db.operation.name", name_of(what.operation));
        attributes.add("db.query.summary", std::string_view(what.summary));
        if (!what.name.empty()) attributes.add("pgstate.statement.name", std::string_view(what.name));
        if (what.operations > 1) attributes.add("db.operation.batch.size", integer(what.operations));
        attributes.add("pgstate.statement.attempt", integer(what.attempt));
        attributes.add("db.response.returned_rows", static_cast<std::int64_t>(how.rows));
        if (how.error.empty()) return;
        attributes.add("error.type", std::string_view(how.error));
        if (how.error.size() == 5) attributes.add("db.response.status_code", std::string_view(how.error));
    };
    if (options_.tracer)
        guarded([&] {
            span_start begin;
            begin.name = what.summary;
            begin.kind = span_kind::client;
            begin.at = what.sent;
            if (what.operations == 1 && what.callers.size() == 1)
                begin.parent = what.callers.front();
            else
                begin.links = what.callers;
            attribute_list described;
            describe(described);
            auto attributes = with_place(owner::store, described);
            attributes.push_back({"server.address", std::string_view(options_.where.address)});
            if (options_.where.port != 0) attributes.push_back({"server.port", options_.where.port});
            begin.attributes = attributes;
            if (const auto traced = options_.tracer->start(begin)) traced->end(how.answered, how.error);
        });
    guarded([&] {
        const auto level = how.sent_again_because.empty() ? log_level::trace : log_level::warn;
        if (!logs(level)) return;
        attribute_list attributes;
        describe(attributes);
        attributes.add("duration", seconds(took));
        if (how.sent_again_because.empty()) return log(level, "statement", attributes);
        attributes.add("pgstate.retry.reason", how.sent_again_because);
        log(level, "statement failed and is sent again", attributes);
    });
}

void hub::acquired(clock::duration wait) const noexcept {
    if (!options_.metrics) return;
    guarded([&] {
        acquire_wait_.record(seconds(wait), [&] { return open(instruments::acquire_wait, owner::pool, {}); });
    });
}

void hub::connect_ended(clock::time_point began, clock::time_point ended,
                        const error* failure) const noexcept {
    std::string type;
    if (failure) type = failure->sqlstate().empty() ? error_type(*failure) : failure->sqlstate();
    const auto took = seconds(ended - began);
    if (options_.metrics)
        guarded([&] {
            if (!failure)
                return create_time_.record(took,
                                           [&] { return open(instruments::create_time, owner::pool, {}); });
            const attribute reason{"error.type", std::string_view(type)};
            record_rare(instruments::connect_failures, owner::pool, {&reason, 1}, 1);
        });
    attribute_list attributes;
    attributes.add("server.address", std::string_view(options_.where.address));
    if (options_.where.port != 0) attributes.add("server.port", options_.where.port);
    if (failure) attributes.add("error.type", std::string_view(type));
    if (auto traced = start("pgstate.connect", span_kind::client, {}, began))
        guarded([&] {
            traced->set(attributes);
            traced->end(ended, type);
        });
    guarded([&] {
        const auto level = failure ? log_level::warn : log_level::info;
        if (!logs(level)) return;
        attributes.add("duration", took);
        if (failure) attributes.add("error.message", std::string_view(failure->what()));
        log(level, failure ? "connect failed" : "connected", attributes);
    });
}

void end(const std::unique_ptr<span>& traced, const error* failure) noexcept {
    if (traced) guarded([&] { traced->end(clock::now(), failure ? error_type(*failure) : std::string()); });
}

// --- one operation -----------------------------------------------------------------------------------------------

void operation_watch::keep_context() noexcept {
    if (span_) guarded([&] { context_ = span_->context(); });
}

void operation_watch::end(const std::exception_ptr& failure, std::string_view agent_id,
                          std::string_view session_id) noexcept {
    if (!hub_) return;
    const auto to = std::exchange(hub_, nullptr);
    report_.ended = clock::now();
    report_.agent_id = agent_id;
    report_.session_id = session_id;
    if (span_)
        guarded([&] {
            if (acquired_ > report_.began) span_->event("pgstate.acquired", acquired_, {});
            if (happened(report_.first_sent)) span_->event("pgstate.sent", report_.first_sent, {});
            if (happened(report_.answered)) span_->event("pgstate.answered", report_.answered, {});
            if (happened(decoding_)) span_->event("pgstate.decoding", decoding_, {});
        });
    guarded([&] {
        if (!failure) return to->operation_ended(report_, span_.get());
        const auto why = to_error(failure);
        report_.failure = &why;
        to->operation_ended(report_, span_.get());
        report_.failure = nullptr;
    });
    guarded([&] { span_.reset(); });
}

} // namespace pgstate::telemetry
