#include "telemetry/statement_watch.hpp"

#include <utility>

namespace pgstate::telemetry {

statement_watch::statement_watch(std::shared_ptr<hub> to, sent_statement what,
                                 std::optional<clock::duration> acquire_wait)
    : hub_(std::move(to)), statement_(std::make_shared<sent_statement>(std::move(what))) {
    statement_->sent = clock::now();
    outcome_.acquire_wait = acquire_wait;
}

void statement_watch::carry(operation_watch& each, clock::time_point connected) {
    auto& oldest = statement_->oldest;
    if (!each.was_sent() && (!happened(oldest) || each.began() < oldest)) oldest = each.began();
    if (each.context().valid()) statement_->callers.push_back(each.context());
    each.acquired(connected);
    each.sent(statement_);
}

void statement_watch::answered(int rows, std::string error) {
    outcome_.answered = clock::now();
    outcome_.rows = rows;
    outcome_.error = std::move(error);
}

} // namespace pgstate::telemetry
