// Random orders of what several stores and other programs do to one row, and what is made of the writes of one of these
// stores whose connection breaks. In the model it is known what became of them.

#include "sql/settlement.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace {

using pgstate::batch::settlement;
using pgstate::sql::judge;
using pgstate::sql::write_evidence;
using pgstate::wire::uuid;

class dice {
public:
    explicit dice(std::uint64_t seed) : state_(seed) {}
    /// From 0 to limit - 1. (splitmix64)
    std::uint64_t below(std::uint64_t limit) {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return (z ^ (z >> 31)) % limit;
    }
    bool one_in(std::uint64_t n) { return below(n) == 0; }

private:
    std::uint64_t state_;
};

enum class deed {
    save,          ///< of a store: makes or replaces
    create,        ///< makes, or does nothing
    replace,       ///< a certain version
    change,        ///< whatever there is
    erase,         ///< whatever there is
    erase_version, ///< a certain version
    touch,         ///< keeps the version and the name
    foreign, ///< of a program that knows neither: makes with a drawn version, or replaces and leaves both
    guarded, ///< of such a program where the table has the guard: draws a version, and leaves the name
    by_hand, ///< of a program that knows both: gives a version above the sequence, and takes the name away
};
constexpr std::size_t deeds = 10;
constexpr std::size_t deeds_of_others = 3;

bool names_the_row(deed what) {
    return what == deed::save || what == deed::create || what == deed::replace || what == deed::change;
}

struct stored {
    std::optional<uuid> name;
    std::int64_t version = 0;
    std::optional<std::int64_t>
        named_version{}; ///< that the write of the name made, where it is not `version`
    std::uint64_t xmin = 0;
    bool numbered = true; ///< false: a server before 9.4 froze it, and put another number in its place
};

/// One row of a server, read and written by transactions, of which one at a time has the row's lock.
class server {
public:
    explicit server(dice& random) : random_(random) {}

    struct transaction {
        std::uint64_t xid = 0; ///< 0: none yet
        std::int64_t drawn = 0;
        bool over = false;
        bool changed = false;
        std::int64_t made = 0; ///< the version
    };

    void begin(transaction& what) {
        if (random_.one_in(3)) what.xid = next_++; // it has written elsewhere
        what.drawn = ++sequence_;                  // an insert draws before it waits
        running_.push_back(&what);
    }

    bool free_for(const transaction& what) const { return !locker_ || locker_ == &what; }

    /// \pre free_for(what)
    void write(transaction& what, deed how, std::optional<uuid> name, std::int64_t version) {
        const bool mine = locker_ == &what;
        auto now = mine ? pending_ : row_;
        if (!apply(now, what, how, name, version)) return;
        if (what.xid == 0) what.xid = next_++;
        const auto number = random_.one_in(8) ? next_++ : what.xid; // in a savepoint
        if (now) {
            now->xmin = number;
            now->numbered = true;
            what.made = now->version;
        }
        locker_ = &what;
        pending_ = now;
        what.changed = true;
    }

    void end(transaction& what, bool commit) {
        if (what.over) return;
        what.over = true;
        std::erase(running_, &what);
        if (locker_ != &what) return;
        locker_ = nullptr;
        if (commit) row_ = pending_;
    }

    /// pg_snapshot_xmin of a statement that runs now.
    std::uint64_t horizon() const {
        auto lowest = next_;
        for (const auto* each : running_)
            if (each->xid != 0) lowest = std::min(lowest, each->xid);
        return lowest;
    }

    /// Another run of it. Numbers that nothing durable has are given out again.
    void restart() {
        while (!running_.empty())
            end(*running_.back(), false);
        ++incarnation;
        const auto durable = row_ ? row_->xmin + 1 : 0;
        next_ = std::max(durable, next_ - random_.below(20));
    }

    /// Other tables are written. The server keeps the transactions that run within 2^31 numbers.
    void others_write() {
        constexpr std::uint64_t most = (std::uint64_t{1} << 31) - 1000;
        const auto room = most - std::min(most, next_ - horizon());
        next_ += random_.one_in(2) ? random_.below(5) : room - std::min(room, random_.below(40));
    }

    void look(write_evidence& evidence) const {
        evidence.exists = row_.has_value();
        evidence.next = next_;
        if (!row_) return;
        evidence.last_writer = row_->name;
        evidence.version = row_->version;
        evidence.xmin = row_->numbered ? static_cast<std::uint32_t>(row_->xmin) : 2;
    }

    std::int64_t version() const { return row_ ? row_->version : 0; }
    /// Of the write that the row names. Nothing: the row is as that write left it.
    std::optional<std::int64_t> named_version() const { return row_ ? row_->named_version : std::nullopt; }
    void put(stored what) { row_ = what; }

    int incarnation = 1;

private:
    bool apply(std::optional<stored>& now, const transaction& by, deed how, std::optional<uuid> name,
               std::int64_t version) {
        const bool versioned = how == deed::replace || how == deed::erase_version;
        const bool makes = how == deed::save || how == deed::create || how >= deed::foreign;
        if (!now) {
            if (!makes) return false;
            now = stored{name, how == deed::by_hand ? above() : by.drawn};
            return true;
        }
        if (how == deed::create || (versioned && now->version != version)) return false;
        if (how == deed::erase || how == deed::erase_version) {
            now.reset();
        } else if (how != deed::touch && how != deed::foreign) {
            if (name)
                now->named_version.reset();
            else if (!now->named_version)
                now->named_version = now->version;
            if (name || how == deed::by_hand) now->name = name;
            now->version = how == deed::by_hand ? above() : ++sequence_;
        }
        return true;
    }

    /// A version that the sequence never comes to, each once.
    std::int64_t above() { return above_--; }

    dice& random_;
    std::optional<stored> row_;
    std::optional<stored> pending_;
    transaction* locker_ = nullptr;
    std::vector<transaction*> running_;
    /// More than the age of any row below it, and on both sides of a multiple of 2^32.
    std::uint64_t next_ = (std::uint64_t{1} << 34) + random_.below(std::uint64_t{1} << 33);
    std::int64_t sequence_ = 100;
    std::int64_t above_ = std::numeric_limits<std::int64_t>::max();
};

using counts = std::map<std::string, int>;

struct actor {
    server::transaction in;
    deed how{};
    std::optional<uuid> name{};
    std::int64_t version = 0;
};

/// One schedule. Store A has a write in doubt again and again; B, C and programs without names do what they like.
class schedule {
public:
    schedule(std::uint64_t seed, counts& seen) : random_(seed), seen_(seen), server_(random_) {
        if (random_.one_in(4)) return;
        stored old;
        old.version = 1 + static_cast<std::int64_t>(random_.below(90));
        old.xmin = server_.horizon() - 1 - random_.below(random_.one_in(2) ? 900 : std::uint64_t{1} << 30);
        old.numbered = !random_.one_in(8);
        server_.put(old);
    }

    /// What was wrong; empty: nothing.
    std::string run() {
        const auto steps = 10 + random_.below(40);
        for (std::uint64_t i = 0; i < steps && wrong_.empty(); ++i)
            step();
        if (doubtful_ && wrong_.empty()) settle();
        return wrong_;
    }

private:
    void step() {
        switch (random_.below(12)) {
        case 0: return server_.others_write();
        case 1: return random_.one_in(6) ? restart() : server_.others_write();
        case 2:
        case 3: return doubtful_ ? settle() : send();
        case 4:
        case 5: return doubtful_ ? proceed() : write_of_a();
        case 6: return learn();
        default: return others();
        }
    }

    deed any_deed() { return static_cast<deed>(random_.below(deeds)); }
    deed any_of_a_store() { return static_cast<deed>(random_.below(deeds - deeds_of_others)); }

    // --- store A ---

    /// An answer of any statement carries the horizon.
    void learn() {
        horizons_[server_.incarnation] = std::max(horizons_[server_.incarnation], server_.horizon());
    }

    /// A write of A that is answered.
    void write_of_a() {
        server::transaction in;
        server_.begin(in);
        learn();
        if (server_.free_for(in)) {
            const auto how = any_of_a_store();
            const auto name = a_.next();
            server_.write(in, how, names_the_row(how) ? std::optional(name) : std::nullopt,
                          server_.version());
        }
        server_.end(in, true);
    }

    void send() {
        auto& what = doubtful_.emplace();
        what.how = any_of_a_store();
        evidence_ = {};
        evidence_.name = a_.next();
        evidence_.repeatable = what.how == deed::touch;
        what.name = names_the_row(what.how) ? std::optional(evidence_.name) : std::nullopt;
        what.version = server_.version();
        const auto other = 1 + static_cast<std::int64_t>(random_.below(9)); // to a version that is not there
        if (random_.one_in(8)) what.version += what.version > other ? -other : other;
        if (what.how == deed::replace || what.how == deed::erase_version) evidence_.if_version = what.version;
        sent_by_ = server_.incarnation;
        sent_at_ = horizons_[sent_by_];
        arrived_ = false;
    }

    /// The server goes on with it, or not.
    void proceed() {
        auto& what = *doubtful_;
        if (what.in.over || server_.incarnation != sent_by_) return;
        if (!arrived_) server_.begin(what.in);
        arrived_ = true;
        if (random_.one_in(3) || !server_.free_for(what.in)) return; // it waits
        server_.write(what.in, what.how, what.name, what.version);
        if (!random_.one_in(3)) commit(what);
    }

    void commit(actor& what) {
        server_.end(what.in, true);
        committed_ = what.in.changed;
    }

    void settle() {
        auto& what = *doubtful_;
        if (random_.one_in(3)) { // it is looked for at once
            server_.look(evidence_);
            check(judge(evidence_));
        }
        if (random_.one_in(4)) proceed();
        if (arrived_) server_.end(what.in, false); // fenced: what has not been committed never will be
        evidence_.fenced = true;
        for (auto more = random_.below(6); more > 0; --more)
            others();
        if (random_.one_in(8)) server_.others_write();
        if (random_.one_in(12)) restart();
        if (sent_at_ != 0 && sent_by_ == server_.incarnation) evidence_.horizon = sent_at_;
        server_.look(evidence_);
        check(judge(evidence_));
        doubtful_.reset();
        committed_ = false;
    }

    void check(settlement verdict) {
        const bool doubled = verdict == settlement::not_applied && committed_ && !evidence_.repeatable;
        if (doubled) wrong_ = "it was applied";
        if (verdict == settlement::applied && !committed_) wrong_ = "it was not applied";
        if (verdict == settlement::applied &&
            server_.named_version().value_or(evidence_.version) != doubtful_->in.made)
            wrong_ = "its caller is told another's version";
        if (verdict == settlement::open && evidence_.fenced) wrong_ = "it is over";
        if (evidence_.fenced) return count(verdict);
        if (verdict != settlement::open && verdict != settlement::applied) wrong_ = "it may still be applied";
    }

    void count(settlement verdict) {
        ++seen_["all"];
        auto nameless = evidence_;
        if (server_.named_version()) nameless.last_writer.reset();
        if (judge(nameless) != verdict) ++seen_["by the name before nameless writers"];
        if (verdict == settlement::applied) ++seen_["applied"];
        if (verdict == settlement::unknown) ++seen_[committed_ ? "unknown, applied" : "unknown, not applied"];
        if (verdict != settlement::not_applied) return;
        ++seen_["not applied"];
        // On which piece of evidence does it rest?
        const auto rests_on = [&](auto member) {
            auto without = evidence_;
            (without.*member).reset();
            return judge(without) == settlement::unknown;
        };
        if (rests_on(&write_evidence::horizon)) ++seen_["by the horizon alone"];
        if (rests_on(&write_evidence::last_writer)) ++seen_["by the name alone"];
        if (rests_on(&write_evidence::if_version)) ++seen_["by the version alone"];
    }

    // --- everybody else ---

    void restart() {
        server_.restart();
        if (doubtful_) doubtful_->in.over = true; // also if it never came there
        std::erase_if(others_, [](const auto& each) { return each->in.over; });
    }

    void others() {
        if (others_.size() < 3 && random_.one_in(2)) {
            auto& made = *others_.emplace_back(std::make_unique<actor>());
            made.version = server_.version();
            server_.begin(made.in);
            return;
        }
        if (others_.empty()) return;
        const auto at = random_.below(others_.size());
        auto& one = *others_[at];
        if (!random_.one_in(4) && server_.free_for(one.in)) {
            one.how = any_deed();
            if (names_the_row(one.how) && !random_.one_in(3)) one.name = (random_.one_in(2) ? b_ : c_).next();
            if (random_.one_in(2)) one.version = server_.version();
            server_.write(one.in, one.how, names_the_row(one.how) ? one.name : std::nullopt, one.version);
        }
        if (random_.one_in(2)) return;
        server_.end(one.in, !random_.one_in(4));
        others_.erase(others_.begin() + static_cast<std::ptrdiff_t>(at));
    }

    /// Names as a store gives them out; all stores begin to count at the same number.
    class names {
    public:
        explicit names(unsigned char store) { name_[0] = store; }
        uuid next() {
            if (++name_[15] == 0) ++name_[14];
            return name_;
        }

    private:
        uuid name_{};
    };

    dice random_;
    counts& seen_;
    server server_;
    names a_{1};
    names b_{2};
    names c_{3};
    std::vector<std::unique_ptr<actor>> others_;
    std::map<int, std::uint64_t> horizons_; ///< of each run of the server; 0: none is known

    std::optional<actor> doubtful_;
    write_evidence evidence_;
    int sent_by_ = 0;
    std::uint64_t sent_at_ = 0;
    bool arrived_ = false;
    bool committed_ = false; ///< the one in doubt, and it changed the row
    std::string wrong_;
};

} // namespace

TEST_CASE("whatever the order of events, no verdict on a write is wrong", "[settlement][model]") {
    constexpr std::uint64_t schedules = 150'000;
    counts seen;
    for (std::uint64_t seed = 0; seed < schedules; ++seed) {
        const auto wrong = schedule(seed, seen).run();
        if (wrong.empty()) continue;
        CAPTURE(seed, wrong);
        FAIL("a verdict was wrong");
    }
    for (const auto& [what, number] : seen)
        UNSCOPED_INFO(what << ": " << number);
    CHECK(seen["all"] > 100'000);
    // Not by always saying that nobody can tell.
    CHECK(seen["applied"] > seen["all"] / 20);
    CHECK(seen["not applied"] > seen["all"] / 4);
    CHECK(seen["by the horizon alone"] > 1000);
    CHECK(seen["by the name alone"] > 1000);
    CHECK(seen["by the version alone"] > 1000);
    CHECK(seen["by the name before nameless writers"] > 1000);
    CHECK(seen["unknown, applied"] > 1000);
    CHECK(seen["unknown, not applied"] > 1000);
}
