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
    const bool failing = policy_.failing() || course_.expects_failure();
    store->sweep(course_.next(), failing, [self = shared_from_this(), now](const result<swept>& outcome) {
        self->over(now, outcome);
    });
}

void sweeper::over(clock::time_point began, const result<swept>& outcome) {
    if (!outcome && outcome.error() == errc::closed) return;
    if (outcome) swept_.fetch_add(static_cast<std::uint64_t>(outcome->rows), std::memory_order_relaxed);
    const auto how = course_.over(outcome);
    const auto left = course_.protected_rows();
    const bool news = protected_.exchange(left, std::memory_order_relaxed) != left;
    const auto next = policy_.over(how, began, clock::now(), random());
    const auto store = store_.lock();
    if (!store) return;
    if (news && left > 0) store->left_protected(left, course_.refusal());
    ask_at(*store, next);
}

} // namespace pgstate::postgres
