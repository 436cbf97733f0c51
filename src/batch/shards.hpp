#ifndef PGSTATE_BATCH_SHARDS_HPP
#define PGSTATE_BATCH_SHARDS_HPP

#include "batch/admission.hpp"
#include "batch/engine.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace pgstate::batch {

/// A store's engines: each has a share of the keys and of the connections, so that threads which run the executor
/// together do not queue for one strand. All of a key's operations meet in one engine, which keeps their order.
///
/// Thread safety: every member, from any thread.
class shards {
public:
    /// As many as `pool->config().batch.shards` says, which divide its connections among them.
    shards(const std::shared_ptr<pool::core>& pool, const std::shared_ptr<dialect>& sql);

    /// Once one is refused because of close(), all later ones of that caller are, whichever engine they belong to.
    /// Where as much is pending as may be, it completes with errc::overloaded.
    void submit(operation_ptr what);

    /// A place among what is pending, for what no engine gets.
    /// \throws error closed; overloaded - as much is pending as may be
    admission::place enter(std::string_view operation) const;

    /// The engine of an operation, by its `key_hash`.
    const std::shared_ptr<engine>& of(const operation& what) const noexcept {
        return engines_[what.key_hash % engines_.size()];
    }

    /// Refuses new operations; `done` is called when those accepted are over.
    void close(std::function<void()> done);
    /// Refuses new operations and fails all others with errc::closed.
    void shut_down();

    counters count() const noexcept;
    std::size_t size() const noexcept { return engines_.size(); }

private:
    const admission::owner admission_;
    std::vector<std::shared_ptr<engine>> engines_;
    std::atomic<bool> closed_{false}; ///< set before the first engine is closed
};

} // namespace pgstate::batch

#endif
