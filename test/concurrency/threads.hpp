#ifndef PGSTATE_TEST_CONCURRENCY_THREADS_HPP
#define PGSTATE_TEST_CONCURRENCY_THREADS_HPP

#include "support/run.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

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
        for (auto& thread : threads_)
            thread.join();
    }

private:
    asio::io_context& context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::vector<std::thread> threads_;
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
    at_once(const at_once&) = delete;
    at_once& operator=(const at_once&) = delete;
    ~at_once() { join(); }

    void join() {
        for (auto& thread : threads_)
            thread.join();
        threads_.clear();
    }

private:
    std::latch begin_;
    std::vector<std::thread> threads_;
};

/// Counts what was started and what is over, and keeps what went wrong: Catch2's macros belong to one thread.
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

    std::vector<std::string> wrongs() const {
        const std::lock_guard lock(mutex_);
        return wrongs_;
    }

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t started_ = 0;
    std::size_t done_ = 0;
    std::vector<std::string> wrongs_;
};

} // namespace pgstate_test

#endif
