#ifndef PGSTATE_BENCH_CALLBACK_CALLER_HPP
#define PGSTATE_BENCH_CALLBACK_CALLER_HPP

#include "pgstate/error.hpp"
#include "pgstate/operations.hpp"
#include "pgstate/state_store.hpp"
#include "phase.hpp"
#include "workload.hpp"

#include <concepts>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

namespace bench {

/// One caller without coroutines: each completion starts the next operation.
template <class Store>
class callback_caller {
public:
    callback_caller(Store& store, const workload& work, phase& now, unsigned caller)
        : store_(store), work_(work), now_(now), choices_(work.choices_of(caller, now.number())) {}

    void start() {
        if (now_.over()) return now_.leave();
        const auto what = work_.pick_operation(choices_);
        whose_ = work_.pick_key(choices_);
        began_ = phase::clock::now();
        switch (what) {
        case operation::load: return load();
        case operation::list: return list();
        case operation::erase: return erase();
        case operation::append: return append();
        case operation::rewrite: return rewrite();
        default: return save();
        }
    }

private:
    // Handlers hold nothing but `this`, so that they stay small.

    void load() {
        store_.load(whose_.agent_id(), whose_.session_id(),
                    [this](std::exception_ptr failure, std::optional<pgstate::agent_state> state) {
                        if (!failure && !state && work_.all_present()) failure = missing();
                        finish(failure, state ? state->history.size() : 0);
                    });
    }

    void list() {
        store_.list(whose_.agent_id(),
                    [this](const std::exception_ptr& failure, const pgstate::session_page& page) {
                        finish(failure, page.size());
                    });
    }

    void erase() {
        store_.erase(whose_.agent_id(), whose_.session_id(), [this](std::exception_ptr failure, bool erased) {
            if (failure) return finish(failure, 0);
            now_.done(began_, erased ? 1 : 0);
            began_ = phase::clock::now();
            save();
        });
    }

    void save() {
        store_.save(work_.make_state(whose_, choices_),
                    [this](std::exception_ptr failure, pgstate::saved saved) {
                        finish(failure, static_cast<std::uint64_t>(saved.version));
                    });
    }

    void append() {
        if constexpr (std::derived_from<Store, pgstate::state_store>)
            store_.append(whose_.agent_id(), whose_.session_id(), work_.make_message(),
                          [this](const std::exception_ptr& failure, pgstate::saved) { finish(failure, 1); });
    }

    void rewrite() {
        store_.load(whose_.agent_id(), whose_.session_id(),
                    [this](std::exception_ptr failure, std::optional<pgstate::agent_state> state) {
                        if (!failure && !state) failure = missing();
                        if (failure) return finish(failure, 0);
                        work_.append_message(*state);
                        save_appended(*state);
                    });
    }

    void save_appended(const pgstate::agent_state& state) {
        store_.save(state, {.if_unchanged = true}, [this](std::exception_ptr failure, pgstate::saved) {
            if (failure && pgstate::to_error(failure) == pgstate::errc::conflict) return rewrite();
            finish(failure, 1);
        });
    }

    void finish(const std::exception_ptr& failure, std::uint64_t value) {
        if (failure)
            now_.failed(failure);
        else
            now_.done(began_, value);
        start();
    }

    std::exception_ptr missing() const {
        return std::make_exception_ptr(
            std::runtime_error("load: " + whose_.agent_id() + ", " + whose_.session_id() + " is not there"));
    }

    Store& store_;
    const workload& work_;
    phase& now_;
    generator choices_;
    key whose_;
    phase::clock::time_point began_;
};

} // namespace bench

#endif
