// The life of an operation along named paths.

#include "batch/life.hpp"

#include <catch2/catch_test_macros.hpp>

#include <initializer_list>
#include <sstream>
#include <string>

namespace pgstate::batch {
namespace {

std::string shown(event what, const step& next, const life& of) {
    std::string text = to_string(what);
    if (next == step{}) return text;
    text.append(" > ").append(to_string(next.go));
    if (next.go == move::enqueue || next.go == move::pause) text.append(" ").append(to_string(of.as));
    if (next.go == move::enqueue && of.alone) text.append(" alone");
    if (next.tell != verdict::none) text.append(": ").append(to_string(next.tell));
    return text;
}

event named(const std::string& name) {
    auto what = event{};
    while (to_string(what) != name && what != event::shut_down)
        what = static_cast<event>(static_cast<int>(what) + 1);
    return what;
}

/// \param path  the events, each with the step that must follow, if any, and what is told
life go(life of, const std::string& path) {
    std::istringstream steps(path);
    std::string taken;
    for (std::string each; std::getline(steps >> std::ws, each, ',');) {
        const auto what = named(each.substr(0, each.find(' ')));
        const auto next = resume(of, what);
        taken.append(taken.empty() ? "" : ", ").append(shown(what, next, of));
    }
    CHECK(taken == path);
    return of;
}

/// To the end, on several paths that begin alike.
void follow(const life& of, const std::string& beginning, std::initializer_list<const char*> ends) {
    for (const auto* const each : ends) {
        const auto at_last = go(of, beginning + each);
        CAPTURE(each);
        CHECK(to_string(at_last.at) == std::string("over"));
        CHECK(at_last.who == life::caller::told);
    }
}

constexpr life load{};
constexpr life save{.writes = true, .traceable = true};
constexpr life timed_save{.writes = true, .timed = true, .traceable = true};
constexpr life waiting_save{.writes = true, .may_wait = true, .traceable = true};
constexpr life pooled_save{.writes = true};

const std::string under_way = "admitted > enqueue asked, sent, ";
const std::string settled = under_way + "lost > enqueue settling, sent, ";
const std::string fenced = settled + "undecided > enqueue fencing, sent, ";

TEST_CASE("one statement, or the same again", "[life]") {
    follow(load, under_way, {"answered > end: answer"});
    follow(timed_save, under_way,
           {"answered > end: answer", "refused > end: refusal", "refused_time > end: timed_out_refused",
            "refused_shared > enqueue asked alone, sent, refused > end: refusal",
            "refused_shared > enqueue asked alone, deadline > end: timed_out_refused",
            "refused_shared > enqueue asked alone, outdated > end: timed_out_refused",
            "refused_statement > enqueue asked, sent, answered > end: answer",
            "refused_for_now > pause asked, pause_over > enqueue asked, sent, answered > end: answer",
            "nonsense > end: nonsense", "no_memory > end: no_memory"});
}

TEST_CASE("a conflict is told with the version that a probe reads", "[life]") {
    follow(timed_save, under_way + "conflicted > enqueue probing, sent, ",
           {"answered > end: answer",
            "lost > pause probing, pause_over > enqueue probing, deadline > end: timed_out_refused",
            "deadline > stay: timed_out_refused, answered > end",
            "cancelled_if_unsent > stay: aborted, answered > end"});
    std::string path = under_way + "conflicted > enqueue probing, sent, ";
    for (int i = 0; i < 4; ++i)
        path += "contradicted > enqueue asked alone, sent, conflicted > enqueue probing alone, sent, ";
    follow(save, path, {"contradicted > end: contradiction", "answered > end: answer"});
}

TEST_CASE("a lost write is settled by its row, or after its process has ended", "[life]") {
    follow(
        save, settled,
        {"answered > end: answer", "not_applied > enqueue asked, sent, answered > end: answer",
         "refused > enqueue fencing: outcome_unknown, sent, process_ended > end",
         "nonsense > enqueue fencing: outcome_unknown, sent, process_ended > end",
         "no_memory > pause settling: outcome_unknown, pause_over > enqueue settling, sent, not_applied > end",
         "lost > pause settling, pause_over > enqueue settling, no_connection > pause settling: outcome_unknown, "
         "pause_over > enqueue settling, sent, answered > end"});
    follow(save, fenced,
           {"refused > end: outcome_unknown", "nonsense > pause fencing: outcome_unknown, shut_down > end"});
    follow(save, fenced + "process_ended > enqueue fenced, sent, ",
           {"answered > end: answer", "not_applied > enqueue asked, sent, refused > end: refusal",
            "undecidable > end: outcome_unknown", "nonsense > end: outcome_unknown",
            "refused > end: outcome_unknown", "lost > pause fenced, shut_down > end: outcome_unknown"});
    follow(pooled_save, settled,
           {"answered > end: answer", "undecided > end: outcome_unknown", "refused > end: outcome_unknown",
            "nonsense > end: outcome_unknown"});
}

TEST_CASE("a process that does not end keeps its write's turn, and its caller for a while", "[life]") {
    for (const auto& kind : {save, timed_save})
        for (const std::string answer : {"process_alive", "lost", "refused_for_now", "refused_time"}) {
            std::string path = fenced;
            for (int inquiry = 2; inquiry < 1000; ++inquiry) {
                const bool told = !kind.timed && inquiry == most_attempts;
                path += answer + " > pause fencing" + (told ? ": outcome_unknown" : "") +
                        ", pause_over > enqueue fencing, sent, ";
            }
            if (kind.timed) path += "deadline > stay: timed_out_write, ";
            follow(kind, path, {"process_ended > end"});
        }
}

TEST_CASE("a connection is lost again and again", "[life]") {
    std::string loads = under_way;
    std::string saves = settled;
    for (int losses = 1; losses < most_attempts; ++losses) {
        loads += "lost > pause asked, pause_over > enqueue asked, sent, ";
        saves += "not_applied > enqueue asked, sent, lost > enqueue settling, sent, ";
    }
    follow(load, loads, {"lost > end: lost_too_often"});
    follow(save, saves, {"not_applied > end: lost_too_often", "answered > end: answer"});
}

TEST_CASE("a locked row is waited for by itself, or polled", "[life]") {
    const auto looks = under_way + "refused_lock > enqueue looking, sent, ";
    follow(save, looks,
           {"unlocked > enqueue asked, sent, answered > end: answer",
            "refused > pause asked, pause_over > enqueue asked alone, sent, answered > end: answer"});
    follow(
        waiting_save, looks + "locked > enqueue waiting alone, sent, ",
        {"answered > end: answer",
         "lost > enqueue settling alone, sent, not_applied > enqueue asked alone, sent, answered > end: answer"});
    follow(timed_save, looks + "locked > pause looking, ",
           {"deadline > end: timed_out_locked",
            "pause_over > enqueue looking alone, sent, "
            "unlocked > enqueue asked alone, sent, refused_time > end: timed_out_locked"});
    auto looks_first = timed_save; // its key is one of those that were locked
    looks_first.as = life::phase::looking;
    follow(looks_first, "admitted > enqueue looking, sent, ",
           {"unlocked > enqueue asked, deadline > end: timed_out_queued"});
}

TEST_CASE("a lock on the table looks like none on the row", "[life]") {
    const auto twice = under_way +
                       "refused_lock > enqueue looking, sent, unlocked > enqueue asked, sent, "
                       "refused_lock > enqueue looking, sent, unlocked > enqueue asked alone, sent, ";
    auto waits = waiting_save;
    waits.timed = true;
    follow(waits, twice + "refused_lock > enqueue waiting alone, sent, ",
           {"refused_lock > end: timed_out_locked", "deadline > stay: timed_out_write, refused_lock > end"});
    std::string polls = twice;
    for (int i = 0; i < 1000; ++i)
        polls += "refused_lock > pause asked, pause_over > enqueue asked alone, sent, ";
    follow(save, polls, {"answered > end: answer"});
    CHECK(go(save, polls + "refused_lock > pause asked").attempts() == 0); // all are left for other refusals
}

TEST_CASE("what has left before it was taken in is never sent", "[life]") {
    follow(timed_save, "",
           {"cancelled > stay: aborted, deadline, admitted > end",
            "cancelled_if_unsent > stay: aborted, admitted > end",
            "deadline > stay: timed_out_queued, cancelled, shut_down, admitted > end",
            "shut_down > stay: closed, admitted > end", "turned_away > stay: refusal, cancelled, deadline",
            "cancelled > stay: aborted, turned_away"});
}

TEST_CASE("a caller leaves, and the store, in each place", "[life]") {
    follow(timed_save, "admitted > enqueue asked, ",
           {"cancelled > end: aborted", "cancelled_if_unsent > end: aborted",
            "deadline > end: timed_out_queued", "outdated > end: timed_out_queued",
            "no_connection > end: no_connection", "shut_down > end: closed"});
    follow(load, under_way,
           {"cancelled_if_unsent > stay: aborted, answered > end",
            "deadline > stay: timed_out_read, lost > end", "shut_down > stay: closed, lost > end"});
    follow(timed_save, under_way,
           {"cancelled_if_unsent, answered > end: answer",
            "cancelled_if_unsent, cancelled > stay: aborted, answered > end",
            "deadline > stay: timed_out_write, refused_for_now > end",
            "shut_down > stay: outcome_unknown, cancelled, lost > end",
            "deadline > stay: timed_out_write, shut_down, conflicted > end"});
    follow(timed_save, under_way + "refused_for_now > pause asked, ",
           {"cancelled > end: aborted", "cancelled_if_unsent > end: aborted",
            "deadline > end: timed_out_refused", "shut_down > end: closed"});
}

TEST_CASE("a write in doubt keeps its key's turn, whoever leaves", "[life]") {
    follow(timed_save, under_way + "cancelled > stay: aborted, lost > enqueue settling, sent, ",
           {"answered > end", "undecided > enqueue fencing, sent, process_alive > pause fencing, cancelled, "
                              "pause_over > enqueue fencing, sent, process_ended > end"});
    follow(timed_save, under_way + "lost > enqueue settling, ",
           {"cancelled_if_unsent, cancelled > stay: aborted, sent, not_applied > end",
            "deadline > stay: timed_out_write, sent, answered > end", "shut_down > end: outcome_unknown",
            "sent, shut_down > stay: outcome_unknown, not_applied > end"});
}

} // namespace
} // namespace pgstate::batch
