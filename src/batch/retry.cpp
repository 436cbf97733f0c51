#include "batch/retry.hpp"

namespace pgstate::batch {

event classify(const incident& what) {
    const std::string_view sqlstate = what.failure.sqlstate;
    const bool last = what.attempts >= most_attempts;
    const bool server_gone = sqlstate.substr(0, 3) == "57P" || sqlstate.substr(0, 2) == "08";

    // An error before the Sync rolled the statement back, even if the connection was lost after it. The server's
    // farewell (57P0x) is no such error: it can come when the commit was already made.
    const bool rolled_back = !sqlstate.empty() && !server_gone;
    if (what.broken && !rolled_back) return event::lost;
    if (sqlstate == "55P03" && what.locks_limited) return event::refused_lock;
    if (sqlstate == "57014" && what.time_limited) return event::refused_time;
    if (!last) {
        if (sqlstate == "40001" || sqlstate == "40P01" || blames_connection(sqlstate))
            return event::refused_for_now;
        // The statement's name is not known there or taken, or its plan no longer fits the table.
        const bool prepared_badly = sqlstate == "26000" || sqlstate == "0A000" || sqlstate == "42P05";
        // Once for each of the three statements that an exchange can have.
        if (prepared_badly && what.attempts < 4) return event::refused_statement;
    }
    // A write that is not settled can still be applied: nothing else ends that but a server that will never answer, for want
    // of a privilege or of an object (class 42).
    if (what.settles && sqlstate.substr(0, 2) != "42") return event::refused_for_now;
    return what.operations > 1 ? event::refused_shared : event::refused;
}

bool blames_connection(std::string_view sqlstate) noexcept {
    return sqlstate == "25006"; // the server only reads
}

std::string_view reason_to_send_again(event what) noexcept {
    switch (what) {
    case event::refused_for_now: return "refused_for_now";
    case event::refused_statement: return "prepared_again";
    case event::refused_shared: return "one_by_one";
    case event::refused_lock: return "locked";
    case event::lost: return "unfit_connection";
    default: return {};
    }
}

} // namespace pgstate::batch
