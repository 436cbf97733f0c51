#include "pgstate/error.hpp"

#include <boost/system/error_category.hpp>

#include <utility>

namespace pgstate {
namespace {

class pgstate_category_impl final : public boost::system::error_category {
public:
    constexpr pgstate_category_impl() noexcept : error_category(0x7067737461746501ULL) {}

    const char* name() const noexcept override { return "pgstate"; }

    std::string message(int value) const override {
        switch (static_cast<errc>(value)) {
        case errc::invalid_argument: return "an argument was refused; nothing was sent";
        case errc::not_found: return "the state does not exist; save it first";
        case errc::conflict: return "another writer saved the state first; load it again and retry";
        case errc::timed_out: return "the operation took longer than its time-out";
        case errc::pool_exhausted:
            return "no connection became free in time; raise pool_max_conns or hold connections for less time";
        case errc::unavailable: return "the database cannot be reached";
        case errc::outcome_unknown:
            return "the connection broke after the write was sent: it may have been applied; load the state to find out";
        case errc::schema_mismatch: return "the table does not have the shape that pgstate needs";
        case errc::corrupt_state: return "the stored row is not an agent state";
        case errc::closed: return "the store has been closed";
        case errc::overloaded:
            return "too many operations are pending; nothing was sent: try again when some have completed";
        case errc::callback_failed: return "the function passed in threw an exception; see error::cause()";
        }
        return "unknown pgstate error " + std::to_string(value);
    }
};

class sqlstate_category_impl final : public boost::system::error_category {
public:
    constexpr sqlstate_category_impl() noexcept : error_category(0x7067737461746502ULL) {}

    const char* name() const noexcept override { return "sqlstate"; }
    std::string message(int value) const override {
        return "SQLSTATE " + to_string(static_cast<sqlstate>(value));
    }
};

std::string compose(const boost::system::error_code& code, std::string_view operation,
                    std::string_view message) {
    std::string what;
    if (!operation.empty()) what.append(operation).append(": ");
    return what.append(message.empty() ? std::string_view(code.message()) : message);
}

} // namespace

const boost::system::error_category& pgstate_category() noexcept {
    static constexpr pgstate_category_impl instance;
    return instance;
}

const boost::system::error_category& sqlstate_category() noexcept {
    static constexpr sqlstate_category_impl instance;
    return instance;
}

std::string to_string(sqlstate code) {
    std::string text(5, '0');
    auto rest = static_cast<int>(code);
    for (auto at = text.rbegin(); at != text.rend(); ++at, rest /= 36) {
        const int digit = rest % 36;
        *at = static_cast<char>(digit < 10 ? '0' + digit : 'A' + digit - 10);
    }
    return text;
}

error::error(boost::system::error_code code, std::string_view operation, std::string_view message)
    : system_error(code), what_(compose(code, operation, message)), operation_(operation) {}

error error::from_server(std::string_view sqlstate, std::string_view operation, std::string_view message) {
    error failure(make_error_code(make_sqlstate(sqlstate)), operation,
                  std::string(message).append(" (SQLSTATE ").append(sqlstate).append(")"));
    failure.sqlstate_ = sqlstate;
    return failure;
}

error& error::with_sqlstate(std::string_view sqlstate) & {
    sqlstate_ = sqlstate;
    return *this;
}

error& error::with_current_version(std::int64_t version) & {
    current_version_ = version;
    return *this;
}

error& error::with_cause(std::exception_ptr cause) & {
    cause_ = std::move(cause);
    return *this;
}

error to_error(std::exception_ptr failure) {
    try {
        std::rethrow_exception(failure);
    } catch (const error& e) {
        return e;
    } catch (const boost::system::system_error& e) {
        return error(e.code(), {}, e.what());
    } catch (const std::exception& e) {
        error wrapped(errc::callback_failed, {}, e.what());
        wrapped.with_cause(std::move(failure));
        return wrapped;
    } catch (...) {
        error wrapped(errc::callback_failed, {},
                      "the function passed in threw something that is no std::exception");
        wrapped.with_cause(std::move(failure));
        return wrapped;
    }
}

void throw_exception_from_error(const error& e, const boost::source_location&) {
    throw e;
}

} // namespace pgstate
