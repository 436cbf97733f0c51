#ifndef PGSTATE_BATCH_ADMISSION_HPP
#define PGSTATE_BATCH_ADMISSION_HPP

#include "config/resolved.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

namespace pgstate::batch {

/// How many operations of a store, and how many bytes of them, may be pending at once: accepted and not completed.
///
/// Both are counted in one word, so that they are taken together or not at all, with one atomic operation each way. What
/// is pending may outlive the store, and so may this: the last one to leave deletes it.
///
/// Thread safety: every member, from any thread.
class admission {
    struct owner_leaves {
        void operator()(admission* what) const noexcept { what->leave(0); }
    };

public:
    using owner = std::unique_ptr<admission, owner_leaves>;

    /// What one operation takes. Gives it back at its end.
    class place {
    public:
        place() = default;
        place(place&& other) noexcept : in_(std::exchange(other.in_, nullptr)), bytes_(other.bytes_) {}
        place& operator=(place&& other) noexcept {
            give_back();
            in_ = std::exchange(other.in_, nullptr);
            bytes_ = other.bytes_;
            return *this;
        }
        ~place() { give_back(); }

        explicit operator bool() const noexcept { return in_ != nullptr; }
        void give_back() noexcept {
            if (in_) std::exchange(in_, nullptr)->leave(bytes_);
        }

    private:
        friend class admission;
        place(admission* in, std::size_t bytes) noexcept : in_(in), bytes_(bytes) {}

        admission* in_ = nullptr;
        std::size_t bytes_ = 0;
    };

    static owner create(const pending_config& limits) { return owner(new admission(limits)); }
    admission(const admission&) = delete;
    admission& operator=(const admission&) = delete;

    /// Empty: a limit is reached. What is larger than all that may be pending is taken when nothing else is.
    place enter(std::size_t bytes) noexcept {
        bytes = counted(bytes);
        auto now = pending_.load(std::memory_order_relaxed);
        do {
            if (operations_in(now) >= limits_.max_operations || bytes_in(now) + bytes > limits_.max_bytes)
                return {};
        } while (
            !pending_.compare_exchange_weak(now, now + one_operation + bytes, std::memory_order_relaxed));
        return place(this, bytes);
    }

    std::size_t operations() const noexcept {
        return operations_in(pending_.load(std::memory_order_relaxed));
    }
    std::size_t bytes() const noexcept { return bytes_in(pending_.load(std::memory_order_relaxed)); }

    /// What an error says when `bytes` more were refused.
    std::string refusal(std::size_t bytes) const;

private:
    static constexpr unsigned byte_bits = 40;
    static constexpr std::uint64_t one_operation = std::uint64_t{1} << byte_bits;
    static_assert(2 * settings::most_pending_bytes <= one_operation, "the bytes fit into their bits");
    static_assert(settings::most_pending_operations < std::uint64_t{1} << (64 - byte_bits),
                  "and the operations");

    explicit admission(const pending_config& limits) noexcept : limits_(limits) {}

    static std::size_t operations_in(std::uint64_t word) noexcept { return (word >> byte_bits) - 1; }
    static std::size_t bytes_in(std::uint64_t word) noexcept { return word & (one_operation - 1); }
    std::size_t counted(std::size_t bytes) const noexcept { return std::min(bytes, limits_.max_bytes); }

    void leave(std::size_t bytes) noexcept {
        const auto left = one_operation + bytes;
        if (pending_.fetch_sub(left, std::memory_order_acq_rel) == left) delete this;
    }

    const pending_config limits_;
    std::atomic<std::uint64_t> pending_{one_operation}; ///< the owner counts as an operation
};

} // namespace pgstate::batch

#endif
