#ifndef PGSTATE_TEST_FAULT_SOAK_CLIENT_CALLS_HPP
#define PGSTATE_TEST_FAULT_SOAK_CLIENT_CALLS_HPP

// What the operations of a soak's clients have in common; for their sources alone.

#include "fault/soak/clients.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace pgstate_test {

/// The reasons of a time-out that say that nothing was or will be applied.
inline constexpr std::string_view soak_definite_time_outs[] = {
    "was not sent", "was not applied", "before the server answered it", "while the server was at work on it",
    "no connection became ready"};

/// Whether an error is explained by the faults, or by what other clients do to the same keys.
inline bool explained(const pgstate::error& e) {
    for (const auto code :
         {pgstate::errc::outcome_unknown, pgstate::errc::unavailable, pgstate::errc::timed_out,
          pgstate::errc::pool_exhausted, pgstate::errc::conflict, pgstate::errc::not_found})
        if (e == code) return true;
    return e == asio::error::operation_aborted || e.sqlstate().starts_with("57P") ||
           e.sqlstate().starts_with("08");
}

/// Of an operation that nobody cancelled.
inline history::outcome told_by(const pgstate::error& e) {
    const auto says = [what = std::string_view(e.what())](std::string_view reason) {
        return what.find(reason) != what.npos;
    };
    const bool unknown =
        e == pgstate::errc::outcome_unknown ||
        (e == pgstate::errc::timed_out && std::ranges::none_of(soak_definite_time_outs, says));
    return unknown ? history::outcome::unknown : history::outcome::failed;
}

/// An error, for a list of how often there were which.
inline std::string error_name(const pgstate::error& e) {
    return (explained(e) ? "" : "UNEXPECTED ") + e.operation() + ": " + e.code().message() +
           (e.sqlstate().empty() ? "" : " (" + e.sqlstate() + ")");
}

/// What the error says, without what is different each time.
inline std::string why_unknown(const pgstate::error& e) {
    std::string_view what = e.what();
    constexpr std::string_view reason = "it may have been applied, and ";
    const auto at = what.find(reason);
    what.remove_prefix(at != what.npos ? at + reason.size() : what.rfind(": ") + 2);
    return std::string(what.substr(0, what.find_first_of(";:")));
}

/// A client, and what its operations are given.
struct epoch::caller {
    caller(asio::io_context& context, const soak_arguments& given, std::uint64_t epoch_number,
           unsigned number)
        : id(number), impatient(number >= given.clients), gives_up(context) {
        std::seed_seq seeds{given.seed, epoch_number, std::uint64_t{number}};
        random.seed(seeds);
    }

    const unsigned id;
    const bool impatient;
    std::mt19937_64 random;

    /// Of a client that is impatient; shared, as a timer that has fired outlives the operation.
    struct cancellation {
        asio::cancellation_signal signal;
        asio::cancellation_type emitted = asio::cancellation_type::none; ///< during the operation under way
    };
    const std::shared_ptr<cancellation> cancelled = std::make_shared<cancellation>();
    asio::steady_timer gives_up;
};

/// An operation under way; noted when it has completed.
class epoch::call {
public:
    call(epoch& whose, caller& by) : whose_(whose), by_(by), invoked(soak_clock::now()) {
        by_.cancelled->emitted = asio::cancellation_type::none;
        if (by_.impatient) {
            timeout_ = std::chrono::milliseconds(20 + by_.random() % 181);
            if (by_.random() % 2 == 0) cancel_later();
        }
        const auto due = invoked + (by_.impatient ? timeout_ : soak_operation_timeout) + soak_grace;
        whose_.due_[by_.id] = due.time_since_epoch().count();
    }
    call(const call&) = delete;
    call& operator=(const call&) = delete;
    ~call() {
        by_.gives_up.cancel();
        whose_.due_[by_.id] = 0;
    }

    template <class Options>
    Options with(Options options) const {
        options.timeout = timeout_;
        return options;
    }
    auto token() const {
        return pgstate::as_result(
            asio::bind_cancellation_slot(by_.cancelled->signal.slot(), asio::use_awaitable));
    }

    history::outcome told_by(const pgstate::error& e) const {
        using enum history::outcome;
        if (e == asio::error::operation_aborted) {
            // Of asio's types, total alone promises that there is no side effect.
            return by_.cancelled->emitted == asio::cancellation_type::total ? failed : unknown;
        }
        return pgstate_test::told_by(e);
    }

private:
    /// Soon, mostly: most operations take a few milliseconds.
    void cancel_later() {
        using asio::cancellation_type;
        constexpr cancellation_type types[] = {cancellation_type::terminal, cancellation_type::partial,
                                               cancellation_type::total};
        const auto longest = std::uint64_t{1'000} << by_.random() % 8;
        by_.gives_up.expires_after(std::chrono::microseconds(by_.random() % longest));
        by_.gives_up.async_wait([what = by_.cancelled, type = types[by_.random() % 3]](auto stopped) {
            if (stopped) return;
            what->emitted |= type;
            what->signal.emit(type);
        });
    }

    epoch& whose_;
    caller& by_;
    std::chrono::milliseconds timeout_{0}; ///< 0: the store's own

public:
    const soak_clock::time_point invoked;
};

template <class T>
void epoch::count(const call& of, const pgstate::result<T>& r) {
    if (r.has_value()) {
        ++acknowledged;
        last_success = soak_clock::now().time_since_epoch().count();
        return;
    }
    const pgstate::error e = r.error();
    ++(of.told_by(e) == history::outcome::unknown ? unknown : failed);
    ++errors[error_name(e)];
    if (e == pgstate::errc::corrupt_state) problems.push_back(e.what());
}

template <class T>
void epoch::finish(history::write what, const call& of, const pgstate::result<T>& r) {
    what.invoked = of.invoked;
    what.completed = soak_clock::now();
    if (r.has_error()) {
        what.told = of.told_by(r.error());
        if (what.told == history::outcome::unknown)
            ++unknown_writes[why_unknown(r.error())][std::ranges::count(foreign_keys(), what.key) > 0];
        what.missing = r.error() == pgstate::errc::not_found;
    } else {
        what.told = history::outcome::acknowledged;
        if constexpr (std::is_same_v<T, bool>)
            what.missing = !*r;
        else
            what.version = r->version;
    }
    if (given_.rows) kept.add(what);
    past.add(std::move(what));
}

template <class T>
void epoch::finish_one(history::write what, const call& of, const pgstate::result<T>& r) {
    count(of, r);
    finish(std::move(what), of, r);
}

} // namespace pgstate_test

#endif
