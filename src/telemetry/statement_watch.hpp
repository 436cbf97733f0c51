#pragma once

#include "telemetry/hub.hpp"
#include "telemetry/operation_watch.hpp"
#include "telemetry/reports.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace pgstate::telemetry {

/// What is to be told of a statement under way. An engine's strand writes it; `report` calls the user's code, and so
/// belongs elsewhere.
class statement_watch {
public:
    /// It is sent now. \param what  without its times and callers
    /// \param acquire_wait  of the connection, if this is the first to use it
    statement_watch(std::shared_ptr<hub> to, sent_statement what,
                    std::optional<clock::duration> acquire_wait);

    /// It carries `each`, on a connection that was acquired at `connected`.
    void carry(operation_watch& each, clock::time_point connected);
    /// The whole answer is there. \param error  a SQLSTATE, "connection_lost", or empty
    void answered(int rows, std::string error);
    clock::time_point answered_at() const noexcept { return outcome_.answered; }
    void sent_again(std::string_view reason) noexcept { outcome_.sent_again_because = reason; }

    void report() const noexcept { hub_->statement_ended(*statement_, outcome_); }

private:
    const std::shared_ptr<hub> hub_;
    const std::shared_ptr<sent_statement> statement_;
    statement_outcome outcome_;
};

} // namespace pgstate::telemetry
