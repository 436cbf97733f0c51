#include "telemetry/operation_watch.hpp"

#include <utility>

namespace pgstate::telemetry {

void operation_watch::begin(const std::shared_ptr<hub>& to, operation_id what, clock::time_point began,
                            const span_context& parent) noexcept {
    hub_ = to;
    report_.operation = what;
    report_.began = began;
    if (!to->traces()) return;
    const attribute operation{"db.operation.name", name_of(what)};
    span_ = to->start({.name = span_name_of(what),
                       .parent = parent.valid() ? parent : to->current(),
                       .at = began,
                       .attributes = {&operation, 1}});
    if (span_) guarded([&] { context_ = span_->context(); });
}

void operation_watch::sent(std::shared_ptr<const sent_statement> statement) noexcept {
    if (report_.statements++ == 0) report_.first_sent = statement->sent;
    report_.statement = std::move(statement);
}

void operation_watch::end(const error* failure, std::string_view agent_id,
                          std::string_view session_id) noexcept {
    const auto to = std::exchange(hub_, nullptr);
    if (!to) return;
    report_.ended = clock::now();
    report_.agent_id = agent_id;
    report_.session_id = session_id;
    if (span_)
        guarded([&] {
            if (report_.acquired > report_.began) span_->event("pgstate.acquired", report_.acquired, {});
            if (happened(report_.first_sent)) span_->event("pgstate.sent", report_.first_sent, {});
            if (happened(report_.answered)) span_->event("pgstate.answered", report_.answered, {});
            if (happened(decoding_)) span_->event("pgstate.decoding", decoding_, {});
        });
    guarded([&] {
        report_.failure = failure;
        to->operation_ended(report_, span_.get());
        report_.failure = nullptr;
    });
    guarded([&] { span_.reset(); });
}

} // namespace pgstate::telemetry
