#ifndef PGSTATE_BATCH_LIFE_HPP
#define PGSTATE_BATCH_LIFE_HPP

#include <cstddef>
#include <cstdint>

namespace pgstate::batch {

/// How often an operation is sent before its failure is final, and how often a lost write is asked about before its caller
/// is told, where nothing else ends the wait.
inline constexpr std::uint8_t most_attempts = 6;

/// The life of an operation: a state machine. Pure: no I/O, no clock, no memory. The engine feeds it events and carries out
/// the steps that it answers with. Everything that decides about an operation's future is in here.
///
/// Whatever comes in whatever order: the caller is told once; what has ended stays ended; nothing is sent for a caller who
/// was told before it was sent; and a write that the server may still be at work on keeps its key's turn until it is
/// settled, fenced or abandoned.
struct life {
    enum class place : std::uint8_t {
        arriving, ///< not yet taken into the planner
        queued,   ///< in the planner: waits for its key's turn or for a connection
        sent,     ///< in a statement under way
        pausing,  ///< is sent again after a pause; keeps its key's turn
        over,     ///< has left the engine
    };
    /// What it is sent as.
    enum class phase : std::uint8_t {
        asked,    ///< what its caller asked for
        looking,  ///< to see whether another session holds a lock on its row
        waiting,  ///< what its caller asked for, by itself, for as long as its time allows: the row is locked
        probing,  ///< to read the version that a conditional write met
        settling, ///< to read the row of a write whose connection was lost
        fencing,  ///< to end the server process that had this write
        fenced,   ///< as settling; that process has ended
        abandoned, ///< nothing is sent any more, whatever the answer to what is under way
    };
    enum class caller : std::uint8_t { waiting, told };

    // What it is; the engine says so before the first event, and `traceable` before `lost`.
    bool writes = false;
    bool timed = false;     ///< it has a deadline
    bool may_wait = false;  ///< there is a connection to wait for a lock on; else it polls
    bool traceable = false; ///< the server process that has it can be named, and so be ended

    place at = place::arriving;
    phase as = phase::asked;
    caller who = caller::waiting;
    bool alone =
        false; ///< shares a statement with no other: one of several in a refused statement may be to blame

    std::uint8_t tries = 0;     ///< how often it was sent, not in doubt
    std::uint8_t inquiries = 0; ///< how often it was sent in doubt, since its connection was lost
    std::uint8_t losses = 0;    ///< how often its connection was lost, not in doubt
    std::uint8_t locked = 0;    ///< how often a lock was in its way
    std::uint8_t pauses = 0;    ///< how often it paused; the pauses grow
    std::uint8_t vanished = 0;  ///< how often a probe contradicted the statement before it

    /// It was sent, and it is not known whether it was applied or still may be.
    bool in_doubt() const noexcept {
        return as == phase::settling || as == phase::fencing || as == phase::fenced;
    }
    /// How often it was sent for what it is sent for now.
    std::uint8_t attempts() const noexcept { return in_doubt() ? inquiries : tries; }
    /// It may have been applied, or may be later, for all that is known.
    bool may_be_applied() const noexcept {
        return writes && (in_doubt() || (at == place::sent && (as == phase::asked || as == phase::waiting)));
    }
    friend bool operator==(const life&, const life&) = default;
};

enum class event : std::uint8_t {
    // Its way to the server.
    admitted,    ///< taken into the engine
    turned_away, ///< not taken: the store is closed, or too much is pending
    sent,        ///< is in a statement that is being sent
    outdated,    ///< its turn comes too late for an answer in time
    pause_over,
    no_memory,     ///< its statement could not be built or sent
    no_connection, ///< it could be sent, and no connection can be made

    // The answer to its statement.
    answered,      ///< final; also a lost write that was found to be applied
    conflicted,    ///< a conditional write found no matching row
    contradicted,  ///< the probe found what that write should have found
    unpaired,      ///< it does not tell which row is its own; it may be sent again
    nonsense,      ///< the answer does not fit the statement
    unlocked,      ///< no other session holds a lock on its row
    locked,        ///< one does
    not_applied,   ///< a lost write was not, and never will be
    undecided,     ///< the row does not tell while its process may be at work
    undecidable,   ///< the row does not tell, and will not
    process_ended, ///< the process that had the write has ended
    process_alive, ///< it has not, or not yet

    // The server refused the statement, which was rolled back.
    refused,           ///< for good
    refused_shared,    ///< one of the operations in it is to blame
    refused_lock,      ///< a lock was not free in time
    refused_time,      ///< its time ran out on the server
    refused_for_now,   ///< it may succeed later, or on another connection
    refused_statement, ///< the prepared statement is not there, or fits no longer

    lost, ///< the connection

    // Its caller, and the store.
    deadline,
    cancelled,           ///< side effects may follow
    cancelled_if_unsent, ///< only where no side effect can follow
    shut_down,           ///< the store is destroyed, or closed with nothing but lost writes left
};

/// What the caller is told.
enum class verdict : std::uint8_t {
    none,
    answer,
    aborted,
    closed,
    timed_out_queued,  ///< it was never sent
    timed_out_refused, ///< it was sent, refused, and waited to be sent again
    timed_out_locked,  ///< the same; another session held a lock on its row
    timed_out_read,
    timed_out_write, ///< it may have been applied
    outcome_unknown,
    refusal, ///< the server's, or that of who turned it away
    lost_too_often,
    contradiction, ///< neither a row to write nor one to conflict with
    no_connection,
    no_memory,
    nonsense,
};

enum class move : std::uint8_t {
    stay,
    enqueue, ///< into the planner, as what `as` and `alone` say
    pause,   ///< a pause that grows with `pauses`, then `pause_over`
    end,     ///< out of the planner, wherever it is there: whoever waits for the key may go
};

struct step {
    verdict tell = verdict::none;
    move go = move::stay;
    friend bool operator==(const step&, const step&) = default;
};

/// \pre `admitted` and `turned_away` come only to what is `arriving`; `sent`, `no_connection` and `outdated` to what is
///      `queued`, the last not where it is in doubt; `pause_over` to what is `pausing`; `no_memory`, an answer, a refusal
///      or a loss to what is `sent`. Everything else may come at any time, and everything to what is `over`.
step resume(life& of, event what) noexcept;

const char* to_string(life::place at) noexcept; // the name of the enumerator; the same for those below
const char* to_string(life::phase as) noexcept;
const char* to_string(event what) noexcept;
const char* to_string(verdict tell) noexcept;
const char* to_string(move go) noexcept;

} // namespace pgstate::batch

#endif
