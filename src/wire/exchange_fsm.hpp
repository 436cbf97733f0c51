#ifndef PGSTATE_WIRE_EXCHANGE_FSM_HPP
#define PGSTATE_WIRE_EXCHANGE_FSM_HPP

#include <cstddef>
#include <deque>

namespace pgstate::wire {

/// Which result of a pipeline belongs to what. Pure: it is told what was sent and what came, and says what to do.
///
/// An exchange is [Parse] [Bind Execute] [Parse] Bind Execute Sync: what prepares its statement or runs before it in the
/// same transaction gives a result of its own each. PostgreSQL commits at the Sync, so an exchange is only over, and its
/// rows only true, when the Sync's own result has come.
class exchange_fsm {
public:
    enum class event {
        rows,    ///< a result with or without a row set
        error,   ///< the server refused something
        aborted, ///< skipped because something before it in the exchange was refused
        sync,    ///< the end of an exchange
        other,   ///< anything that no exchange gives (COPY, a single-row result, ...)
    };
    enum class action {
        none,
        before,     ///< the result is that of something before the statement
        store_rows, ///< the result has the exchange's rows
        refuse,     ///< the result has the exchange's error
        complete,   ///< the oldest exchange is over
        give_up,    ///< the server's answers make no sense: the connection cannot be used any more
    };

    /// An exchange was sent.
    /// \param results_before  how many results come before the statement's own
    void sent(std::size_t results_before) { pending_.push_back({stage::execute, results_before}); }

    action resume(event what) {
        if (pending_.empty()) return action::give_up;
        auto& at = pending_.front().at;
        auto& before = pending_.front().before;
        switch (what) {
        case event::rows:
            if (at == stage::execute && before > 0) {
                --before;
                return action::before;
            }
            if (at != stage::execute) return action::give_up;
            at = stage::sync;
            return action::store_rows;
        case event::error:
            // A failing commit reports its error after the rows: then it replaces them.
            if (at == stage::failed) return action::give_up;
            at = stage::failed;
            return action::refuse;
        case event::aborted: return at == stage::failed ? action::none : action::give_up;
        case event::sync:
            if (at != stage::sync && at != stage::failed) return action::give_up;
            pending_.pop_front();
            return action::complete;
        case event::other: return action::give_up;
        }
        return action::give_up;
    }

    /// How many results of the oldest exchange are still to come before its statement's own.
    std::size_t results_before() const noexcept { return pending_.empty() ? 0 : pending_.front().before; }

    std::size_t in_flight() const noexcept { return pending_.size(); }
    void clear() noexcept { pending_.clear(); }

private:
    enum class stage { execute, sync, failed };
    struct exchange {
        stage at;
        std::size_t before;
    };
    std::deque<exchange> pending_;
};

} // namespace pgstate::wire

#endif
