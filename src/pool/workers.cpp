#include "pool/workers.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
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

    std::chrono::milliseconds period{0};
    clock::time_point next_tick = clock::time_point::max();
    job tick;

    static void run(const std::shared_ptr<shared>& self) {
        std::unique_lock lock(self->mutex);
        while (!self->stopped) {
            job work;
            if (!self->queue.empty()) {
                work = std::move(self->queue.front());
                self->queue.pop_front();
            } else if (clock::now() >= self->next_tick) {
                self->next_tick = clock::now() + self->period;
                work = self->tick;
            } else {
                ++self->at_rest;
                if (self->next_tick == clock::time_point::max())
                    self->changed.wait(lock);
                else
                    self->changed.wait_until(lock, self->next_tick);
                --self->at_rest;
                continue;
            }
            lock.unlock();
            work();
            work = nullptr; // what it owned is freed outside the lock
            lock.lock();
        }
        --self->threads;
    }

    /// \pre the mutex is held
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
    job tick;
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->stopped = true;
        dropped.swap(shared_->queue);
        tick.swap(shared_->tick);
    }
    shared_->changed.notify_all();
}

void workers::post(job work) {
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->queue.push_back(std::move(work));
        if (shared_->at_rest < shared_->queue.size() && shared_->threads < shared_->most)
            shared::start_thread(shared_);
    }
    shared_->changed.notify_one();
}

void workers::every(std::chrono::milliseconds period, job work) {
    {
        const std::lock_guard lock(shared_->mutex);
        shared_->period = period;
        shared_->next_tick = clock::now() + period;
        shared_->tick = std::move(work);
        if (shared_->threads == 0) shared::start_thread(shared_);
    }
    shared_->changed.notify_one();
}

} // namespace pgstate::pool
