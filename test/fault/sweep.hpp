#ifndef PGSTATE_TEST_FAULT_SWEEP_HPP
#define PGSTATE_TEST_FAULT_SWEEP_HPP

#include "fault/proxy.hpp"
#include "pgstate/pgstate.hpp"
#include "support/run.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace pgstate_test {

using sweep_clock = std::chrono::steady_clock;
using sweep_direction = fault_proxy::direction;
using sweep_ending = fault_proxy::ending;

/// A lost connection is noticed at once; nothing of what happens here takes long on a busy machine either.
inline constexpr std::chrono::seconds sweep_soon{5};
/// Longer: an operation that ends by its time-out has not noticed.
inline constexpr std::chrono::seconds sweep_operation_timeout{20};
/// So many connections are cut side by side.
inline constexpr std::size_t sweep_lanes = 8;

/// How a row tells how often an operation was applied to it: each has a row to itself.
enum class sweep_kind { save, extend, append, increment, checkpoint, restore, fork, prune, erase, load };

enum class sweep_outcome { pending, acknowledged, failed, unknown };

struct sweep_operation {
    sweep_kind kind{};
    std::string agent{};
    std::string session{};
    std::string group{}; ///< operations with the same one are applied together or not at all; empty: alone
    int calls = 0;
    sweep_outcome outcome = sweep_outcome::pending;
    std::string said{};
};

struct sweep_cut {
    sweep_direction way{};
    std::uint64_t bytes = 0;
    sweep_ending how{};
};

std::string sweep_text(const sweep_cut& cut);
/// Of the cuts: PGSTATE_FAULT_SEED, or a random one.
std::uint64_t sweep_seed();
/// The cuts of an exchange with so many bytes each way: at every Nth byte. N is PGSTATE_FAULT_EVERY or, without it, 10. The
/// seed decides which byte is the first.
std::vector<sweep_cut> sweep_cuts(const std::array<std::uint64_t, 2>& bytes, std::uint64_t stride = 1);
/// A failure after which nothing has been applied, of a server that went away.
bool sweep_server_was_lost(const pgstate::error& e);

/// One exchange with its operations, and the cut that was made in it.
class sweep_trial {
public:
    sweep_trial(asio::io_context& context, std::string agent, std::string about)
        : agent_(std::move(agent)), about_(std::move(about)), completed_(context) {}

    const std::string& agent() const noexcept { return agent_; }
    const std::string& about() const noexcept { return about_; }

    /// The token for an operation on a row of its own.
    template <class T>
    auto expect(sweep_kind kind, std::string session) {
        return pgstate::as_result(
            [this, what = add({.kind = kind, .agent = agent_, .session = std::move(session)})](
                pgstate::result<T> r) { note(*what, r); });
    }
    /// For a transaction of several writes.
    auto expect_together(const std::vector<std::pair<sweep_kind, std::string>>& writes) {
        std::vector<std::shared_ptr<sweep_operation>> group;
        for (const auto& [kind, session] : writes)
            group.push_back(add({.kind = kind, .agent = agent_, .session = session, .group = agent_}));
        return pgstate::as_result([this, group](pgstate::result<void> r) {
            for (const auto& each : group)
                note(*each, r);
        });
    }
    /// For one whose outcome is of no interest.
    template <class T>
    auto ignored() {
        return pgstate::as_result([this, what = add({})](pgstate::result<T>) {
            ++what->calls;
            completed_.cancel();
        });
    }

    /// False if something has not completed soon.
    asio::awaitable<bool> complete() {
        const auto deadline = sweep_clock::now() + sweep_soon;
        while (!all_completed() && sweep_clock::now() < deadline) {
            completed_.expires_at(deadline);
            co_await completed_.async_wait(asio::as_tuple(asio::use_awaitable));
        }
        co_return all_completed();
    }

    std::string pending() const {
        std::string names;
        for (const auto& each : operations_)
            if (each->calls == 0) names += (names.empty() ? "" : ", ") + each->session;
        return names;
    }
    const std::vector<std::shared_ptr<sweep_operation>>& operations() const noexcept { return operations_; }

private:
    std::shared_ptr<sweep_operation> add(sweep_operation what) {
        return operations_.emplace_back(std::make_shared<sweep_operation>(std::move(what)));
    }
    bool all_completed() const {
        return std::ranges::all_of(operations_, [](const auto& each) { return each->calls > 0; });
    }

    template <class T>
    void note(sweep_operation& what, const pgstate::result<T>& r) {
        ++what.calls;
        completed_.cancel();
        if (r.has_value()) {
            what.outcome = sweep_outcome::acknowledged;
            if constexpr (std::is_same_v<T, bool>)
                if (!*r) wrong(what, "there was nothing to erase");
            if constexpr (std::is_same_v<T, std::optional<pgstate::agent_state>>)
                if (!*r || (**r).data.at("value") != 0) wrong(what, "another state was loaded");
            return;
        }
        what.said = r.error().what();
        what.outcome =
            r.error() == pgstate::errc::outcome_unknown ? sweep_outcome::unknown : sweep_outcome::failed;
        if (what.kind == sweep_kind::load)
            wrong(what, "a read was not made again");
        else if (what.outcome == sweep_outcome::failed && !sweep_server_was_lost(r.error()))
            wrong(what, "nothing but the lost connection was there to fail for");
    }
    void wrong(const sweep_operation& what, const std::string& why) {
        wrongs.push_back(about_ + ", " + what.session + ": " + why + " (" + what.said + ")");
    }

    const std::string agent_;
    const std::string about_;
    asio::steady_timer completed_;
    std::vector<std::shared_ptr<sweep_operation>> operations_;

public:
    std::vector<std::string> wrongs;
};

/// The messages of a row that is there before.
inline constexpr int sweep_messages = 2;

/// That which is the `number`th of its history, from 0.
pgstate::agent_message sweep_message(int number);
/// One with `sweep_messages` messages, and as many more as the value says.
pgstate::agent_state sweep_state(const std::string& agent, const std::string& session, int value);

/// What is swept.
struct sweep_exchange {
    std::string name;
    /// The rows that its operations work on: they are there before, with the value 0.
    std::vector<std::string> sessions;
    /// What the connection is used for before, on rows that are not there: the same, so that the statement is prepared.
    std::function<void(pgstate::postgres_store&, sweep_trial&)> warm_up{};
    /// \param first  the first of the rows, as the save of it left it
    std::function<void(pgstate::postgres_store&, sweep_trial&, const pgstate::agent_state& first)> start;
    /// The histories are in rows of their own.
    bool rows = false;
    /// Each row has a checkpoint, of the value 0, and then the value 1.
    bool checkpoints = false;
    /// How many bytes apart the cuts are, at most; from which of them on is a matter of the seed.
    std::uint64_t stride = 1;
    /// The connection is lost before, and the cut is one in the making of the next.
    bool reconnects = false;
};

/// Sweeps, and fails for all that must not be.
void sweep_check(sweep_exchange what);

} // namespace pgstate_test

#endif
