#include "pool/workers.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace pgstate::pool {
namespace {

using clock = std::chrono::steady_clock;

}

struct workers::shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<job> queue;
    std::size_t threads = 0;
    std::size_t at_rest = 0;
    std::size_t most = 1;
    bool stopped = false;

    struct timed_job {
        std::chrono::milliseconds period{0}; ///< 0: once
        job work;
    };
    std::multimap<clock::time_point, timed_job> timed;
    /// When a thread at rest will wake up by itself: one is enough to look after the timed jobs.
    clock::time_point watched = clock::time_point::max();

    static void run(const std::shared_ptr<shared>& self) {
        std::unique_lock lock(self->mutex);
        while (!self->stopped) {
            job work = self->next();
            if (!work) {
                self->rest(lock);
                continue;
            }
            keep_watch(self);
            lock.unlock();
            work();
            work = nullptr; // what it owned is freed outside the lock
            lock.lock();
        }
        --self->threads;
    }

    // \pre of those below: the mutex is held

    /// What is to be done now; empty: nothing.
    job next() {
        job work;
        if (!queue.empty()) {
            work = std::move(queue.front());
            queue.pop_front();
            return work;
        }
        const auto now = clock::now();
        if (timed.empty() || timed.begin()->first > now) return work;
        auto due = timed.extract(timed.begin());
        if (due.mapped().period.count() == 0) return std::move(due.mapped().work);
        work = due.mapped().work;
        due.key() = now + due.mapped().period;
        timed.insert(std::move(due));
        return work;
    }

    void rest(std::unique_lock<std::mutex>& lock) {
        ++at_rest;
        if (timed.empty() || timed.begin()->first >= watched) {
            changed.wait(lock);
        } else {
            const auto until = watched = timed.begin()->first;
            changed.wait_until(lock, until);
            if (watched == until) watched = clock::time_point::max();
        }
        --at_rest;
    }

    /// This thread is about to be busy: another must see to the timed jobs.
    static void keep_watch(const std::shared_ptr<shared>& self) {
        if (self->timed.empty() || self->watched <= self->timed.begin()->first) return;
        if (self->at_rest > 0)
            self->changed.notify_one();
        else if (self->threads < self->most)
            start_thread(self);
    }

    static void start_thread(const std::shared_ptr<shared>& self) {
        ++self->threads;
        try {
            std::thread([self] { run(self); }).detach();
        } catch (...) {
            --self->threads;
            if (self->threads == 0) throw; // nobody would ever do the work
        }
    }
};

workers::workers(std::size_t most) : shared_(std::make_shared<shared>()) {
    shared_->most = std::max<std::size_t>(most, 1);
}

workers::~workers() {
    std::deque<job> dropped;
    std::multimap<clock::time_point, shared::timed_job> timed;
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->stopped = true;
        dropped.swap(shared_->queue);
        timed.swap(shared_->timed);
    }
    shared_->changed.notify_all();
}

void workers::post(job work) {
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->queue.push_back(std::move(work));
        try {
            if (shared_->at_rest < shared_->queue.size() && shared_->threads < shared_->most)
                shared::start_thread(shared_);
        } catch (...) {
            shared_->queue.pop_back();
            throw;
        }
    }
    shared_->changed.notify_one();
}

void workers::every(std::chrono::milliseconds period, job work) {
    add(period, period, std::move(work));
}

void workers::after(clock::duration delay, job work) {
    add(delay, std::chrono::milliseconds(0), std::move(work));
}

void workers::add(clock::duration delay, std::chrono::milliseconds period, job work) {
    {
        const std::lock_guard lock(shared_->mutex);
        const auto made =
            shared_->timed.emplace(clock::now() + delay, shared::timed_job{period, std::move(work)});
        try {
            if (shared_->threads == 0) shared::start_thread(shared_);
        } catch (...) {
            shared_->timed.erase(made);
            throw;
        }
    }
    shared_->changed.notify_one();
}

} // namespace pgstate::pool
