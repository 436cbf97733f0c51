#ifndef PGSTATE_BATCH_INTAKE_HPP
#define PGSTATE_BATCH_INTAKE_HPP

#include "batch/operation.hpp"

#include <atomic>
#include <utility>

namespace pgstate::batch {

/// Operations on their way into an engine. Any thread adds one, the engine takes all: a stack of which only the whole is
/// ever taken, so that neither side locks or waits, and nothing can be popped from under an addition.
class intake {
public:
    /// Operations in the order of their addition. Owns them.
    class list {
    public:
        list() = default;
        list(list&& other) noexcept : first_(std::exchange(other.first_, nullptr)) {}
        list& operator=(list&&) = delete;
        ~list() {
            while (pop()) {}
        }

        bool empty() const noexcept { return first_ == nullptr; }
        /// The oldest; null when there is none.
        operation_ptr pop() noexcept {
            if (!first_) return nullptr;
            auto* const oldest = first_;
            first_ = std::exchange(oldest->next_arrival, nullptr);
            return operation_ptr(oldest, false);
        }

    private:
        friend class intake;
        explicit list(operation* youngest) noexcept {
            while (youngest) {
                auto* const older = std::exchange(youngest->next_arrival, first_);
                first_ = std::exchange(youngest, older);
            }
        }
        operation* first_ = nullptr;
    };

    intake() = default;
    intake(const intake&) = delete;
    intake& operator=(const intake&) = delete;
    ~intake() { close(); }

    enum class added {
        first,   ///< the engine has to be told that there is something
        another, ///< it has been told
        refused, ///< closed; the operation is still the caller's
    };
    /// Who is refused sees what was done before close().
    added add(operation_ptr& what) noexcept {
        auto* const raw = what.get();
        auto* top = top_.load(std::memory_order_acquire);
        do {
            if (top == closed()) return added::refused;
            raw->next_arrival = top;
        } while (!top_.compare_exchange_weak(top, raw, std::memory_order_release, std::memory_order_acquire));
        what.detach(); // the stack owns it
        return top ? added::another : added::first;
    }

    list take() noexcept {
        auto* top = top_.load(std::memory_order_relaxed);
        do {
            if (top == closed()) return {};
        } while (
            !top_.compare_exchange_weak(top, nullptr, std::memory_order_acquire, std::memory_order_relaxed));
        return list(top);
    }

    /// Nothing has been added that was not taken.
    bool empty() const noexcept {
        const auto* const top = top_.load(std::memory_order_relaxed);
        return !top || top == closed();
    }

    /// Refuses everything from now on, and gives what was accepted.
    list close() noexcept {
        auto* const top = top_.exchange(closed(), std::memory_order_acq_rel);
        return top == closed() ? list() : list(top);
    }

private:
    /// An address that no operation has.
    operation* closed() const noexcept {
        return reinterpret_cast<operation*>(const_cast<std::atomic<operation*>*>(&top_));
    }

    std::atomic<operation*> top_{nullptr};
};

} // namespace pgstate::batch

#endif
