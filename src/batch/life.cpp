#include "batch/life.hpp"

#include <boost/assert.hpp>

namespace pgstate::batch {
namespace {

using place = life::place;
using phase = life::phase;
using caller = life::caller;

/// How often a probe may contradict the statement before it: rows that come and go do so once or twice.
constexpr std::uint8_t most_contradictions = 5;
/// How often an operation asks who holds a lock on its row. After that it is no row lock that is in its way, but one on the
/// table, or a row that another session inserts.
constexpr std::uint8_t most_looks = 2;

void count(std::uint8_t& counter) noexcept {
    if (counter != 0xff) ++counter;
}

verdict told(life& of, verdict what) noexcept {
    if (what == verdict::none || of.who == caller::told) return verdict::none;
    of.who = caller::told;
    return what;
}

bool nobody_waits(const life& of) noexcept {
    return of.who == caller::told;
}

step end(life& of, verdict what = verdict::none) noexcept {
    of.at = place::over;
    return {told(of, what), move::end};
}

/// \param what  for a caller who need not wait for the outcome of the next statement
step send_as(life& of, phase next, verdict what = verdict::none) noexcept {
    of.at = place::queued;
    of.as = next;
    return {told(of, what), move::enqueue};
}

step pause_then(life& of, phase next, verdict what = verdict::none) noexcept {
    of.at = place::pausing;
    of.as = next;
    count(of.pauses);
    return {told(of, what), move::pause};
}

/// For a write in doubt: it is found out for as long as it takes, but a caller without a deadline is not kept for ever.
verdict asked_too_often(const life& of) noexcept {
    return of.in_doubt() && of.inquiries >= most_attempts && !of.timed ? verdict::outcome_unknown
                                                                       : verdict::none;
}

/// Nothing more is heard of a write unless the process that had it is ended.
step fence(life& of, verdict what = verdict::none) noexcept {
    return of.traceable ? send_as(of, phase::fencing, what) : end(of, verdict::outcome_unknown);
}

/// The caller's time is over, or it no longer wants to know. What is under way stays, and so does what must be settled.
step leave(life& of, verdict what) noexcept {
    if (nobody_waits(of)) return {};
    if (of.at == place::arriving || of.at == place::sent || of.in_doubt())
        return {told(of, what), move::stay};
    return end(of, what);
}

verdict out_of_time(const life& of) noexcept {
    if (of.may_be_applied()) return verdict::timed_out_write;
    if (of.locked > 0) return verdict::timed_out_locked;
    if (of.at == place::sent) return of.writes ? verdict::timed_out_refused : verdict::timed_out_read;
    const bool was_sent = of.tries > 0 || of.alone; // alone only after it was sent, and that counts anew
    return was_sent ? verdict::timed_out_refused : verdict::timed_out_queued;
}

step shut_down(life& of) noexcept {
    const auto tell = told(of, of.may_be_applied() ? verdict::outcome_unknown : verdict::closed);
    if (of.at == place::sent) {
        of.as = phase::abandoned;
        return {tell, move::stay};
    }
    if (of.at == place::arriving) return {tell, move::stay};
    of.at = place::over;
    return {tell, move::end};
}

step admit(life& of) noexcept {
    if (nobody_waits(of)) return end(of);
    of.at = place::queued;
    return {verdict::none, move::enqueue};
}

step send(life& of) noexcept {
    of.at = place::sent;
    count(of.in_doubt() ? of.inquiries : of.tries);
    return {};
}

/// It could not be sent.
step fail_unsent(life& of, verdict what) noexcept {
    if (of.in_doubt()) return pause_then(of, of.as, verdict::outcome_unknown);
    return end(of, what);
}

step lose(life& of) noexcept {
    if (of.in_doubt()) return pause_then(of, of.as, asked_too_often(of));
    count(of.losses);
    if (of.may_be_applied()) {
        of.inquiries = 0;
        return send_as(of, phase::settling);
    }
    if (nobody_waits(of)) return end(of);
    return of.losses >= most_attempts ? end(of, verdict::lost_too_often) : pause_then(of, of.as);
}

step refuse(life& of) noexcept {
    switch (of.as) {
    case phase::settling: return fence(of, verdict::outcome_unknown);
    // A server that refuses to end a process never will.
    case phase::fencing:
    case phase::fenced: return end(of, verdict::outcome_unknown);
    case phase::looking: // It helps, but it is not needed.
        if (nobody_waits(of)) return end(of);
        of.alone = true;
        return pause_then(of, phase::asked);
    default: return end(of, verdict::refusal);
    }
}

step find_lock(life& of) noexcept {
    if (of.in_doubt()) return pause_then(of, of.as, asked_too_often(of));
    if (nobody_waits(of)) return end(of);
    if (of.as == phase::waiting && of.timed) return end(of, verdict::timed_out_locked);
    if (of.as == phase::looking || of.as == phase::probing) return pause_then(of, of.as);
    count(of.locked);
    of.tries = 0;
    if (of.as == phase::asked && of.locked <= most_looks) return send_as(of, phase::looking);
    of.alone = true;
    return of.may_wait ? send_as(of, phase::waiting) : pause_then(of, phase::asked);
}

step take_nonsense(life& of) noexcept {
    switch (of.as) {
    case phase::settling: return fence(of, verdict::outcome_unknown);
    case phase::fencing: return pause_then(of, phase::fencing, verdict::outcome_unknown);
    case phase::fenced: return end(of, verdict::outcome_unknown);
    default: return end(of, verdict::nonsense);
    }
}

/// What becomes of an operation whose statement is over.
step take_answer(life& of, event what) noexcept {
    BOOST_ASSERT(of.at == place::sent);
    if (of.as == phase::abandoned) return end(of);
    switch (what) {
    case event::answered: return end(of, verdict::answer);
    case event::nonsense: return take_nonsense(of);
    case event::lost: return lose(of);
    case event::refused: return refuse(of);
    case event::refused_lock: return find_lock(of);
    case event::undecided: return fence(of);
    case event::undecidable: return end(of, verdict::outcome_unknown);
    case event::process_alive: return pause_then(of, phase::fencing, asked_too_often(of));
    default: break;
    }
    // What follows is done for a caller who waits, or to settle a write.
    const bool settled = what == event::not_applied || what == event::process_ended;
    if (nobody_waits(of) && (settled || !of.in_doubt())) return end(of);
    switch (what) {
    case event::conflicted: return send_as(of, phase::probing);
    case event::contradicted:
        count(of.vanished);
        if (of.vanished >= most_contradictions) return end(of, verdict::contradiction);
        of.alone = true;
        return send_as(of, phase::asked);
    case event::unlocked:
        of.tries = 0;
        of.alone = of.alone || of.locked >= most_looks;
        return send_as(of, phase::asked);
    case event::locked:
        of.tries = 0;
        count(of.locked);
        of.alone = true;
        return of.may_wait ? send_as(of, phase::waiting) : pause_then(of, phase::looking);
    case event::not_applied:
        if (of.losses >= most_attempts) {
            of.as = phase::asked;
            return end(of, verdict::lost_too_often);
        }
        return send_as(of, phase::asked);
    case event::process_ended: return send_as(of, phase::fenced);
    case event::unpaired:
    case event::refused_shared:
        of.alone = true;
        of.tries = 0;
        return send_as(of, of.as);
    case event::refused_time:
        return of.in_doubt()
                   ? pause_then(of, of.as, asked_too_often(of))
                   : end(of, of.locked > 0 ? verdict::timed_out_locked : verdict::timed_out_refused);
    case event::refused_for_now: return pause_then(of, of.as, asked_too_often(of));
    case event::refused_statement: return send_as(of, of.as);
    default: break;
    }
    BOOST_ASSERT(false);
    return {};
}

} // namespace

step resume(life& of, event what) noexcept {
    if (of.at == place::over) return {};
    switch (what) {
    case event::admitted: return admit(of);
    case event::turned_away: of.at = place::over; return {told(of, verdict::refusal), move::stay};
    case event::sent: return send(of);
    case event::outdated: return of.in_doubt() ? step{} : end(of, out_of_time(of));
    case event::pause_over: return send_as(of, of.as);
    case event::no_memory: return fail_unsent(of, verdict::no_memory);
    case event::no_connection: return fail_unsent(of, verdict::no_connection);
    case event::deadline: return leave(of, out_of_time(of));
    case event::cancelled: return leave(of, verdict::aborted);
    case event::cancelled_if_unsent: return of.may_be_applied() ? step{} : leave(of, verdict::aborted);
    case event::shut_down: return shut_down(of);
    default: return take_answer(of, what);
    }
}

const char* to_string(life::place at) noexcept {
    constexpr const char* names[] = {"arriving", "queued", "sent", "pausing", "over"};
    return names[static_cast<std::size_t>(at)];
}

const char* to_string(life::phase as) noexcept {
    constexpr const char* names[] = {"asked",    "looking", "waiting", "probing",
                                     "settling", "fencing", "fenced",  "abandoned"};
    return names[static_cast<std::size_t>(as)];
}

const char* to_string(event what) noexcept {
    constexpr const char* names[] = {"admitted",
                                     "turned_away",
                                     "sent",
                                     "outdated",
                                     "pause_over",
                                     "no_memory",
                                     "no_connection",
                                     "answered",
                                     "conflicted",
                                     "contradicted",
                                     "unpaired",
                                     "nonsense",
                                     "unlocked",
                                     "locked",
                                     "not_applied",
                                     "undecided",
                                     "undecidable",
                                     "process_ended",
                                     "process_alive",
                                     "refused",
                                     "refused_shared",
                                     "refused_lock",
                                     "refused_time",
                                     "refused_for_now",
                                     "refused_statement",
                                     "lost",
                                     "deadline",
                                     "cancelled",
                                     "cancelled_if_unsent",
                                     "shut_down"};
    return names[static_cast<std::size_t>(what)];
}

const char* to_string(verdict tell) noexcept {
    constexpr const char* names[] = {"none",
                                     "answer",
                                     "aborted",
                                     "closed",
                                     "timed_out_queued",
                                     "timed_out_refused",
                                     "timed_out_locked",
                                     "timed_out_read",
                                     "timed_out_write",
                                     "outcome_unknown",
                                     "refusal",
                                     "lost_too_often",
                                     "contradiction",
                                     "no_connection",
                                     "no_memory",
                                     "nonsense"};
    return names[static_cast<std::size_t>(tell)];
}

const char* to_string(move go) noexcept {
    constexpr const char* names[] = {"stay", "enqueue", "pause", "end"};
    return names[static_cast<std::size_t>(go)];
}

} // namespace pgstate::batch
