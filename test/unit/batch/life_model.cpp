// Every order of an operation's events up to a length, every state that can be reached, and long random lives, against a
// model that knows what is true of the write.

#include "batch/life.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <vector>

namespace pgstate::batch {
namespace {

using place = life::place;
using phase = life::phase;
using enum event;

using event_set = std::uint32_t;

constexpr event_set set_of(std::initializer_list<event> what) {
    event_set result = 0;
    for (const auto each : what)
        result |= event_set{1} << static_cast<unsigned>(each);
    return result;
}

constexpr bool has(event_set all, event what) {
    return (all & set_of({what})) != 0;
}

constexpr auto answers = set_of({deadline}) - set_of({answered}); // from there to there
constexpr auto of_others = set_of({deadline, cancelled, cancelled_if_unsent, shut_down});

/// A life, and what is true of it.
struct lived {
    life of;
    bool was_sent = false;       ///< in any statement
    bool request_sent = false;   ///< as its caller asked
    bool may_be_applied = false; ///< such a statement may have been committed, or may be yet
    bool at_work = false;        ///< its connection was lost, and its server process may be at work on it
    bool met_lock = false;

    bool told() const { return of.who == life::caller::told; }

    event_set legal() const {
        const auto always = of.timed ? of_others : of_others & ~set_of({deadline});
        const auto late = of.timed && !told() && !of.in_doubt() ? set_of({outdated}) : 0;
        if (of.at == place::arriving) return always | set_of({admitted, turned_away});
        if (of.at == place::queued) return always | late | set_of({sent, no_connection});
        if (of.at == place::pausing) return always | set_of({pause_over});
        if (of.at == place::over) return 0;
        return always | set_of({no_memory}) | (of.as == phase::abandoned ? answers : possible_answers());
    }

    event_set possible_answers() const {
        auto result = set_of({lost, refused, refused_for_now, nonsense});
        if (!of.alone) result |= set_of({refused_shared});
        if (of.timed) result |= set_of({refused_time});
        if (of.writes && (of.timed || !of.in_doubt())) result |= set_of({refused_lock});
        if (!of.in_doubt() || of.inquiries < most_attempts) result |= set_of({refused_statement});
        if (of.as == phase::looking) return result | set_of({locked, unlocked});
        if (of.as == phase::fencing) return result | set_of({process_ended, process_alive});
        result |= set_of({answered});
        if (of.as == phase::probing) return told() ? result : result | set_of({contradicted});
        if (of.as == phase::settling) return result | set_of({not_applied, undecided, undecidable});
        if (of.as == phase::fenced) return result | set_of({not_applied, undecidable});
        return of.writes ? result | set_of({conflicted}) : result;
    }

    /// What is wrong with what follows; null: nothing.
    const char* feed(event what) {
        const auto before = of;
        if (const auto* const wrong = learn(what)) return wrong;
        const auto next = resume(of, what);
        const bool tells = next.tell != verdict::none;
        const bool was_told = before.who == life::caller::told;
        if (tells && was_told) return "told twice";
        if (tells && !is_true(next.tell, what)) return "told what is not so";
        if (told() != (tells || was_told)) return "does not know who was told";
        if (const auto* const wrong = follow(next.go, what, before)) return wrong;
        if (of.at == place::over) return told() ? nullptr : "over, and nobody was told";
        const bool let_go = what == deadline || what == cancelled || what == shut_down;
        if (!told() && (let_go || (what == cancelled_if_unsent && !may_be_applied)))
            return "keeps its caller";
        if (of.as == phase::abandoned)
            return told() && of.at == place::sent ? nullptr : "abandoned in the wrong place";
        if (of.may_be_applied() != may_be_applied) return "knows more or less than is known";
        if (at_work && !of.in_doubt()) return "forgets that a process may be at work";
        if (of.as == phase::waiting && !of.alone) return "lets others wait for its lock";
        const bool long_in_doubt = of.at == place::pausing && of.in_doubt() && of.inquiries >= most_attempts;
        return long_in_doubt && !of.timed && !told() ? "keeps its caller for ever" : nullptr;
    }

    /// What the event makes true.
    const char* learn(event what) {
        const bool request = of.as == phase::asked || of.as == phase::waiting;
        if (what == sent) {
            if (told() && !of.in_doubt()) return "sent for nobody";
            if (request && may_be_applied) return "sent again while it may be applied";
            if (request) may_be_applied = of.writes;
            request_sent = request_sent || request;
            was_sent = true;
        }
        if (what == locked || what == refused_lock) met_lock = true;
        if (of.at != place::sent || of.as == phase::abandoned || has(of_others, what)) return nullptr;
        if (what == lost && request) at_work = of.writes;
        if (what == process_ended) at_work = false;
        if (what == answered || what == not_applied) at_work = may_be_applied = false;
        if (request && what != lost && what != nonsense) may_be_applied = false; // rolled back, or answered
        return nullptr;
    }

    bool is_true(verdict tell, event what) const {
        switch (tell) {
        case verdict::none: return false;
        case verdict::answer: return what == answered;
        case verdict::aborted: return what == cancelled || (what == cancelled_if_unsent && !may_be_applied);
        case verdict::timed_out_queued: return !request_sent;
        case verdict::timed_out_refused: return was_sent && !may_be_applied;
        case verdict::timed_out_locked: return met_lock && !may_be_applied;
        case verdict::timed_out_read: return of.at == place::sent && !of.writes;
        case verdict::timed_out_write:
        case verdict::outcome_unknown: return may_be_applied;
        case verdict::nonsense: return what == nonsense && !of.in_doubt();
        default: return !may_be_applied;
        }
    }

    const char* follow(move step, event what, const life& before) const {
        const auto came_to = [&](place there) { return of.at == there && before.at != there; };
        if (came_to(place::sent) != (what == sent)) return "is sent, and is not";
        if (came_to(place::queued) != (step == move::enqueue)) return "enqueued, and not queued";
        if (came_to(place::pausing) != (step == move::pause)) return "pauses, and does not";
        if (came_to(place::over) != (step == move::end || what == turned_away)) return "ends, and goes on";
        if (step == move::enqueue && told() && !of.in_doubt()) return "enqueued for nobody";
        if (before.at == place::sent && has(of_others, what) != (step == move::stay))
            return "leaves its statement, or stays behind";
        if (step != move::end) return nullptr;
        if (before.at == place::arriving && what != admitted) return "ends before it began";
        const bool given_up = what == shut_down || before.as == phase::abandoned || what == undecidable ||
                              !of.traceable || (before.as == phase::fencing && what == refused);
        return at_work && !given_up ? "gives up its key's turn while a process may be at work on it"
                                    : nullptr;
    }
};

/// One for each combination of what the engine says of an operation before its first event.
std::vector<lived> newborn() {
    std::vector<lived> result;
    for (unsigned bits = 0; bits < 32; ++bits) {
        const auto bit = [&](unsigned which) { return (bits >> which & 1) != 0; };
        lived each{{.writes = bit(0), .timed = bit(1), .may_wait = bit(2), .traceable = bit(3)}};
        if (bit(4)) each.of.as = phase::looking;
        if (each.of.writes || !bit(4)) result.push_back(each);
    }
    return result;
}

/// What becomes of `of` in the last event of its history.
lived after(lived of, const std::vector<event>& history) {
    const auto before = of.of;
    const auto* const wrong = of.feed(history.back());
    if (!wrong) return of;
    std::string text;
    for (const auto each : history)
        text.append(to_string(each)).append(" ");
    CAPTURE(before.writes, before.timed, before.may_wait, before.traceable, to_string(before.at),
            to_string(before.as));
    FAIL(text << ": " << wrong);
    return of;
}

/// The first event of some.
event first_of(event_set what) {
    return static_cast<event>(std::countr_zero(what));
}

/// \returns how many sequences of up to `length` legal events go on from there
std::size_t try_every_order(const lived& at, std::size_t length, std::vector<event>& history) {
    std::size_t sequences = 0;
    for (auto left = length > 0 ? at.legal() : 0; left != 0; left &= left - 1) {
        history.push_back(first_of(left));
        sequences += 1 + try_every_order(after(at, history), length - 1, history);
        history.pop_back();
    }
    return sequences;
}

/// How many events it takes to the end if the server answers well, and says that of a lost write, and of a fenced one.
int steps_to_end(life of, event of_lost, event of_fenced) {
    const event by_phase[] = {answered, unlocked,      answered,  answered,
                              of_lost,  process_ended, of_fenced, answered};
    int steps = 0;
    for (; of.at != place::over && steps < 100; ++steps) {
        const event by_place[] = {admitted, sent, by_phase[static_cast<std::size_t>(of.as)], pause_over};
        resume(of, by_place[static_cast<std::size_t>(of.at)]);
    }
    return steps;
}

int most_steps_to_end(const life& of) {
    return std::max({steps_to_end(of, answered, answered), steps_to_end(of, undecided, not_applied),
                     steps_to_end(of, undecided, undecidable)});
}

/// A number for each state of one operation. Counters are cut off where they no longer matter.
std::size_t number(lived& in) {
    auto& of = in.of;
    of.tries = std::min<std::uint8_t>(of.tries, 1);
    of.inquiries = std::min(of.inquiries, most_attempts);
    of.losses = std::min(of.losses, most_attempts);
    of.locked = std::min<std::uint8_t>(of.locked, 3);
    of.pauses = 0;
    auto result = static_cast<std::size_t>(of.at) * 8 + static_cast<std::size_t>(of.as);
    for (const auto counter : {of.inquiries, of.losses, of.locked, of.vanished})
        result = result * 8 + counter;
    for (const bool fact : {of.tries > 0, of.alone, in.was_sent, in.request_sent, in.may_be_applied,
                            in.at_work, in.met_lock, in.told()})
        result = result * 2 + fact;
    return result;
}

/// What has ended stays ended.
bool inert(const life& of) {
    for (unsigned i = 0; i <= static_cast<unsigned>(shut_down); ++i) {
        auto again = of;
        if (resume(again, static_cast<event>(i)) != step{} || again != of) return false;
    }
    return true;
}

TEST_CASE("every order of events", "[life]") {
    std::size_t sequences = 0;
    std::vector<event> history;
    for (const auto& each : newborn())
        sequences += try_every_order(each, 8, history);
    CHECK(sequences == 2'506'741);
}

TEST_CASE("every state, and its way to the end", "[life]") {
    std::size_t states = 0;
    int longest_end = 0;
    bool ended_for_good = true;
    std::vector<event> last(1);
    for (const auto& each : newborn()) {
        std::vector<bool> seen(std::size_t{1} << 26);
        for (std::vector<lived> left{each}; !left.empty(); ++states) {
            const auto at = left.back();
            left.pop_back();
            longest_end = std::max(longest_end, most_steps_to_end(at.of));
            ended_for_good = ended_for_good && (at.of.at != place::over || inert(at.of));
            for (auto legal = at.legal(); legal != 0; legal &= legal - 1) {
                last.back() = first_of(legal);
                auto next = after(at, last);
                auto&& known = seen[number(next)];
                if (!known) left.push_back(next);
                known = true;
            }
        }
    }
    CHECK(states == 657'518);
    CHECK(longest_end == 9);
    CHECK(ended_for_good);
}

TEST_CASE("long lives", "[life]") {
    std::mt19937_64 random(1);
    const auto kinds = newborn();
    for (std::size_t run = 0; run < 20'000; ++run) {
        auto at = kinds[run % kinds.size()];
        std::vector<event> history;
        while (at.of.at != place::over && history.size() < 200) {
            auto legal = at.legal();
            if (random() % 8 != 0) legal &= ~of_others;
            for (auto skip = random() % static_cast<unsigned>(std::popcount(legal)); skip > 0; --skip)
                legal &= legal - 1;
            history.push_back(first_of(legal));
            const auto next = after(at, history);
            if (next.of.at == place::over && random() % 50 != 0)
                history.pop_back(); // another end, later
            else
                at = next;
        }
        CHECK(most_steps_to_end(at.of) < 10);
    }
}

} // namespace
} // namespace pgstate::batch
