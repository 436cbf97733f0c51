#include "postgres/sweeper.hpp"

#include "pgstate/error.hpp"

#include <utility>

namespace pgstate::postgres {

void sweeper::start(const std::shared_ptr<host>& store) {
    if (!enabled_) return;
    store_ = store;
    ask_at(*store, policy_.begin(clock::now(), random()));
}

void sweeper::ask_at(host& store, clock::time_point when) {
    store.after(when - clock::now(), [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->ask();
    });
}

void sweeper::ask() {
    const auto store = store_.lock();
    if (!store || stopped_.load(std::memory_order_relaxed)) return;
    const auto now = clock::now();
    if (const auto later = policy_.ask(now, store->busy())) return ask_at(*store, *later);
    store->sweep(batch_, policy_.failing(), [self = shared_from_this(), now](const result<swept>& outcome) {
        self->over(now, outcome);
    });
}

void sweeper::over(clock::time_point began, const result<swept>& outcome) {
    if (!outcome && outcome.error() == errc::closed) return;
    const swept what = outcome ? *outcome : swept{};
    swept_.fetch_add(static_cast<std::uint64_t>(what.rows), std::memory_order_relaxed);
    const auto how = !outcome                                        ? sweep_outcome::failed
                     : !what.held_lock                               ? sweep_outcome::lost
                     : static_cast<std::size_t>(what.rows) >= batch_ ? sweep_outcome::full
                                                                     : sweep_outcome::rest;
    const auto next = policy_.over(how, began, clock::now(), random());
    if (const auto store = store_.lock()) ask_at(*store, next);
}

} // namespace pgstate::postgres
