#include "phase.hpp"

#include <csignal>

namespace bench {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;

std::string text_of(const std::exception_ptr& failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "an exception of an unknown type";
    }
}

} // namespace

void end_phases_on_interrupt() {
    const auto note = [](int signal) {
        interrupt_seen = 1;
        std::signal(signal, SIG_DFL);
    };
    std::signal(SIGINT, note);
    std::signal(SIGTERM, note);
}

bool interrupted() noexcept {
    return interrupt_seen != 0;
}

phase::phase(engine& runs_on, unsigned number, unsigned callers, seconds duration)
    : number_(number), began_(clock::now()),
      deadline_(began_ + std::chrono::duration_cast<clock::duration>(duration)), notes_(runs_on.size()),
      working_(callers) {}

void phase::failed(const std::exception_ptr& failure) {
    ++notes_[engine::this_thread()].errors;
    const std::lock_guard lock(mutex_);
    if (first_error_.empty()) first_error_ = text_of(failure);
}

void phase::leave() {
    const std::lock_guard lock(mutex_);
    if (--working_ > 0) return;
    end_ = clock::now();
    ended_.notify_one(); // under the lock: the phase may be gone as soon as wait() goes on
}

outcome phase::wait() {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return working_ == 0; });
    outcome all;
    all.elapsed = end_ - began_;
    for (const auto& each : notes_) {
        all.latency.add(each.latency);
        all.errors += each.errors;
        all.checksum += each.checksum;
    }
    all.first_error = first_error_;
    return all;
}

} // namespace bench
