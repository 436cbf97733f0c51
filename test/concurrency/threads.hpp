#ifndef PGSTATE_TEST_CONCURRENCY_THREADS_HPP
#define PGSTATE_TEST_CONCURRENCY_THREADS_HPP

#include "support/run.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <latch>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace pgstate_test {

/// Threads that run a context from here to the end of the scope. Once they have ended nothing runs any more, so what
/// handlers wrote may be looked at.
class running {
public:
    running(asio::io_context& context, std::size_t threads)
        : context_(context), work_(context.get_executor()) {
        context.restart();
        for (std::size_t i = 0; i < threads; ++i)
            threads_.emplace_back([&context] { context.run(); });
    }
    running(const running&) = delete;
    running& operator=(const running&) = delete;
    ~running() {
        work_.reset();
        context_.stop();
    }

private:
    asio::io_context& context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::vector<std::jthread> threads_; // joined as they go
};

/// Threads that all begin `function(index)` at the same moment. Joined at the end of the scope.
class at_once {
public:
    template <class Function>
    at_once(std::size_t threads, Function function) : begin_(static_cast<std::ptrdiff_t>(threads)) {
        for (std::size_t i = 0; i < threads; ++i)
            threads_.emplace_back([this, function, i] {
                begin_.arrive_and_wait();
                function(i);
            });
    }
    void join() { threads_.clear(); }

private:
    std::latch begin_;
    std::vector<std::jthread> threads_;
};

/// Counts what was started and what is over, and keeps what went wrong: Catch2's macros belong to the test's own thread.
class tally {
public:
    void started(std::size_t count = 1) {
        const std::lock_guard lock(mutex_);
        started_ += count;
    }
    void done() {
        const std::lock_guard lock(mutex_);
        ++done_;
        changed_.notify_all();
    }
    void wrong(std::string what) {
        const std::lock_guard lock(mutex_);
        if (wrongs_.size() < 10) wrongs_.push_back(std::move(what));
    }
    void wrong(const std::exception_ptr& failure) {
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& e) {
            wrong(std::string(e.what()));
        }
    }

    /// A handler that says what failed, if anything did, and that it is over.
    auto handler() {
        return [this](std::exception_ptr failure, auto&&...) {
            if (failure) wrong(failure);
            done();
        };
    }

    /// Waits until all is over that was started.
    bool wait() {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [this] { return done_ >= started_; });
    }
    /// Waits until so many are over.
    bool wait_for(std::size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [this, count] { return done_ >= count; });
    }

    /// Checks, on the test's own thread, that nothing went wrong.
    void check() const {
        const std::lock_guard lock(mutex_);
        CHECK(wrongs_ == std::vector<std::string>());
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t started_ = 0;
    std::size_t done_ = 0;
    std::vector<std::string> wrongs_;
};

/// Calls `start` with 0 to `callers` - 1 at once, each on a thread of its own, while `threads` others run `context`. All
/// that is started must come to its end, and nothing go wrong.
template <class Start>
void from_threads(asio::io_context& context, std::size_t threads, std::size_t callers, tally& all,
                  Start start) {
    {
        const running runs(context, threads);
        at_once(callers, [&](std::size_t who) {
            try {
                start(who);
            } catch (...) {
                all.wrong(std::current_exception());
            }
        }).join();
        REQUIRE(all.wait());
    }
    all.check();
}

/// How an operation ended, and how often its handler was called.
struct outcome {
    std::atomic<int> calls{0};
    std::atomic<bool> ok{false};
    std::atomic<bool> aborted{false};
    std::atomic<bool> closed{false};

    /// The operation's handler.
    auto handler(tally& all) {
        return [this, &all](std::exception_ptr failure, auto&&...) {
            set(failure, all);
            all.done();
        };
    }
    void set(const std::exception_ptr& failure, tally& all) {
        ++calls;
        if (!failure) {
            ok = true;
            return;
        }
        try {
            std::rethrow_exception(failure);
        } catch (const pgstate::error& e) {
            aborted = e.code() == asio::error::operation_aborted;
            closed = e == pgstate::errc::closed;
            if (!aborted && !closed) all.wrong(e.what());
        } catch (const std::exception& e) {
            all.wrong(std::string("not a pgstate::error: ") + e.what());
        }
    }
};

/// One that is cancelled.
struct cancellable : outcome {
    /// Calls `start` with a token on `strand`, and cancels what it starts: there and then, or a little later.
    template <class Strand, class Start>
    void start_and_cancel(Strand strand, bool immediately, tally& all, Start start) {
        asio::post(strand, [this, strand, immediately, &all, start] {
            start(asio::bind_cancellation_slot(signal.slot(), asio::bind_executor(strand, handler(all))));
            const auto cancel = [this] { signal.emit(asio::cancellation_type::terminal); };
            if (immediately)
                cancel();
            else
                asio::post(strand, cancel);
        });
    }

    asio::cancellation_signal signal;
};

} // namespace pgstate_test

#endif
