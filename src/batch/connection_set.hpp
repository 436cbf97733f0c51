#ifndef PGSTATE_BATCH_CONNECTION_SET_HPP
#define PGSTATE_BATCH_CONNECTION_SET_HPP

#include "batch/operation.hpp"
#include "batch/time_limits.hpp"
#include "pool/core.hpp"
#include "telemetry/statement_watch.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/strand.hpp>

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pgstate::batch {

struct leased_connection;

/// A statement under way.
struct exchange {
    std::vector<operation_ptr> operations;
    horizon sent_at{}; ///< of a write
    clock::time_point sent{};
    clock::time_point overdue = clock::time_point::max(); ///< when the connection is given up
    time_limits limits{};
    bool tells_size = false;             ///< what runs before tells what dialect::learn takes
    std::weak_ptr<leased_connection> on; // weak: its connection holds the exchange through the reply handler
    std::unique_ptr<telemetry::statement_watch> watch; // null: there is no telemetry
};

/// A leased connection and the exchanges under way on it, oldest first.
struct leased_connection {
    pool::lease lease;
    std::vector<std::shared_ptr<exchange>> exchanges;
    bool retiring = false; ///< takes nothing new and is closed when it is empty
    clock::time_point acquired{};
    std::optional<clock::duration> acquire_wait; ///< until the first statement has told of it

    std::size_t load() const noexcept;   ///< operations under way
    bool may_take_long() const noexcept; ///< what is under way may take long: nothing should wait behind it
    bool usable() const noexcept {
        return !retiring && !lease->broken() && !lease->demoted() && !lease->bloated();
    }
};

/// The connections that an engine has and those that it has asked for: when to ask for more, which is next, and when to
/// give them back. All but the requests' answers run in the engine's strand.
class connection_set {
public:
    using strand_type = boost::asio::strand<boost::asio::any_io_executor>;

    class request;

    /// The engine; told in the strand.
    class listener {
    public:
        virtual ~listener() = default;
        virtual void acquired(const request& asked, pool::lease got) = 0;
        virtual void refused(const request& asked, const error& why) = 0;
    };

    /// \param most  connections at once, 1 or more
    connection_set(std::shared_ptr<pool::core> pool, strand_type strand, std::size_t most);

    std::size_t size() const noexcept { return connections_.size(); }
    std::size_t requested() const noexcept { return requests_.size(); }
    /// Those that no statement which may take long is under way on: what waits is shared out over them.
    std::size_t sharing() const noexcept;
    /// No connection, though one was asked for.
    bool starved() const noexcept { return connections_.empty() && !requests_.empty(); }

    /// Somebody who has no connection waits in the pool's queue. This engine's own requests do not count.
    bool others_wait() const;

    /// Asks for as many connections as `ready` operations are worth, within the limits. \param whom  is told of each
    void ask_for(std::size_t ready, const std::weak_ptr<listener>& whom);
    /// What was asked for is there.
    void add(const request& asked, pool::lease got);
    void forget(const request& asked);
    void withdraw_requests();

    /// An idle connection, or, where `fill_up`, the one with the least to do where another statement may follow. Null:
    /// none.
    std::shared_ptr<leased_connection> choose(bool fill_up) const;

    void give_back_idle();
    /// Those that are lost, bloated or retiring, once nothing is under way on them: they stand in the way of new ones.
    void drop_unusable();
    /// When the first of the oldest statements is overdue.
    clock::time_point first_overdue() const noexcept;
    /// Gives up the connections that have statements under way, where `hopeless(exchange)` of the oldest.
    template <class Predicate>
    void abandon_if(Predicate hopeless, const std::string& why) {
        for (const auto& each : connections_)
            if (!each->exchanges.empty() && hopeless(*each->exchanges.front())) each->lease->abandon(why);
    }

private:
    void add_lease(pool::lease got, clock::duration waited);
    std::size_t idle() const noexcept;

    const std::shared_ptr<pool::core> pool_;
    const strand_type strand_;
    const std::size_t most_;
    std::list<std::shared_ptr<leased_connection>> connections_;
    std::vector<std::shared_ptr<request>> requests_;
};

} // namespace pgstate::batch

#endif
