#pragma once

#include "pgstate/result.hpp"
#include "pgstate/tracer.hpp"
#include "telemetry/hub.hpp"
#include "telemetry/reports.hpp"

#include <memory>
#include <string_view>

namespace pgstate::telemetry {

/// Counts time and statements for one operation, and tells the hub when it is over. Belongs to the operation and follows
/// it: an engine's strand, or the pool's call, writes into it until the operation is completed; the caller's executor ends
/// it. One that was not begun does nothing.
class operation_watch {
public:
    /// Calls the user's tracer. \param parent  of the operation's span; not valid: the calling thread's
    void begin(const std::shared_ptr<hub>& to, operation_id what, clock::time_point began,
               const span_context& parent) noexcept;

    /// It failed the last time as well: another failure is no news.
    void failing() noexcept { report_.failing = true; }

    explicit operator bool() const noexcept { return hub_ != nullptr; }
    clock::time_point began() const noexcept { return report_.began; }
    bool was_sent() const noexcept { return report_.statements > 0; }
    /// The operation's span, and where it is; null and not valid without one.
    const std::shared_ptr<span>& traced() const noexcept { return span_; }
    const span_context& context() const noexcept { return context_; }

    /// It has a connection since `at`, a while ago perhaps.
    void acquired(clock::time_point at) noexcept { report_.acquired = at; }
    void sent(std::shared_ptr<const sent_statement> statement) noexcept;
    void answered(clock::time_point at) noexcept { report_.answered = at; }
    /// The answer is about to be decoded.
    void decoding() noexcept {
        if (span_) decoding_ = clock::now();
    }

    /// Calls the user's code, once. \param failure  null: it succeeded \param agent_id, session_id  lent for the call
    void end(const error* failure, std::string_view agent_id = {}, std::string_view session_id = {}) noexcept;
    template <class T>
    void end(const result<T>& outcome, std::string_view agent_id, std::string_view session_id) noexcept {
        if (outcome) return end(nullptr, agent_id, session_id);
        guarded([&] {
            const error why = outcome.error();
            end(&why, agent_id, session_id);
        });
    }

private:
    std::shared_ptr<hub> hub_;
    std::shared_ptr<span> span_;
    span_context context_;
    clock::time_point decoding_;
    operation_report report_;
};

} // namespace pgstate::telemetry
