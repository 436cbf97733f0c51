#include "batch/retry.hpp"

namespace pgstate::batch {

verdict decide(const incident& what) {
    const std::string_view sqlstate = what.failure.sqlstate;
    const bool last = what.attempts >= most_attempts;
    const bool server_gone = sqlstate.substr(0, 3) == "57P" || sqlstate.substr(0, 2) == "08";

    // An error before the Sync rolled the statement back, even if the connection was lost after it. The server's
    // farewell (57P0x) is no such error: it can come when the commit was already made.
    const bool rolled_back = !sqlstate.empty() && !server_gone;
    if (what.broken && !rolled_back) {
        if (what.write) return verdict::settle;
        return last ? verdict::fail : verdict::retry_another;
    }
    if (!last) {
        if (sqlstate == "40001" || sqlstate == "40P01") return verdict::retry;
        if (sqlstate == "25006") return verdict::retry_another;
        // The statement's name is not known there or taken, or its plan no longer fits the table.
        const bool prepared_badly = sqlstate == "26000" || sqlstate == "0A000" || sqlstate == "42P05";
        // Once for each of the two statements that an exchange can have.
        if (prepared_badly && what.attempts < 3) return verdict::retry_now;
    }
    return what.operations > 1 ? verdict::retry_alone : verdict::fail;
}

std::string_view reason_to_send_again(verdict what) noexcept {
    switch (what) {
    case verdict::retry: return "refused_for_now";
    case verdict::retry_now: return "prepared_again";
    case verdict::retry_alone: return "one_by_one";
    case verdict::retry_another: return "unfit_connection";
    case verdict::fail:
    case verdict::settle: break;
    }
    return {};
}

} // namespace pgstate::batch
