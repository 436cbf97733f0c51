#pragma once

#include "pgstate/detail/export.hpp"

#include <boost/assert/source_location.hpp>
#include <boost/system/error_category.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace pgstate {

/// What went wrong, where pgstate itself decides it. Whatever the server refuses keeps its SQLSTATE instead
/// (`sqlstate_category()`); a cancelled operation is `boost::asio::error::operation_aborted`, and nothing else is.
enum class errc : int {
    invalid_argument = 1, ///< an argument, a setting or a state was refused before anything was sent
    not_found,            ///< the operation needs an existing state and there is none
    conflict,             ///< another writer was first; see error::current_version()
    timed_out,            ///< the operation's own time ran out; what() says whether it may have been applied
    pool_exhausted,       ///< no connection became free in time; what() says who holds them
    unavailable,          ///< no connection can be made; what() carries the last cause
    outcome_unknown, ///< a write was sent and the connection lost, and it cannot be told whether it was applied
    schema_mismatch, ///< the table is not what pgstate made or can take over, or suppresses a write; see what()
    corrupt_state, ///< a stored row is not an agent state, or has another key than was sent; what() names it
    closed,        ///< the store or the pool has been closed
    callback_failed, ///< a function passed to with_connection, transaction or update threw; see error::cause()
    overloaded,      ///< as much is pending as config.pending allows; nothing was sent
};

/// The category of `errc` values.
PGSTATE_API const boost::system::error_category& pgstate_category() noexcept;

/// The category of SQLSTATE codes (PostgreSQL manual, appendix A), packed by `make_sqlstate`.
PGSTATE_API const boost::system::error_category& sqlstate_category() noexcept;

/// A five-character SQLSTATE packed into an integer. The enumerators are those that programs commonly test for;
/// any other is made with `make_sqlstate("22001")`.
enum class sqlstate : int;

/// Packs five characters `[0-9A-Z]` in base 36; anything else gives `sqlstate{}`, which no server sends.
constexpr sqlstate make_sqlstate(std::string_view code) noexcept {
    if (code.size() != 5) return sqlstate{};
    int packed = 0;
    for (char c : code) {
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'Z' ? c - 'A' + 10 : -1;
        if (digit < 0) return sqlstate{};
        packed = packed * 36 + digit;
    }
    return static_cast<sqlstate>(packed);
}

/// PostgreSQL's own names for the codes that programs commonly test for (PostgreSQL manual, appendix A).
enum class sqlstate : int {
    unique_violation = static_cast<int>(make_sqlstate("23505")),
    foreign_key_violation = static_cast<int>(make_sqlstate("23503")),
    check_violation = static_cast<int>(make_sqlstate("23514")),
    read_only_sql_transaction = static_cast<int>(make_sqlstate("25006")),
    invalid_sql_statement_name = static_cast<int>(make_sqlstate("26000")),
    invalid_authorization = static_cast<int>(make_sqlstate("28000")),
    invalid_password = static_cast<int>(make_sqlstate("28P01")),
    invalid_catalog_name = static_cast<int>(make_sqlstate("3D000")),
    serialization_failure = static_cast<int>(make_sqlstate("40001")),
    deadlock_detected = static_cast<int>(make_sqlstate("40P01")),
    insufficient_privilege = static_cast<int>(make_sqlstate("42501")),
    undefined_table = static_cast<int>(make_sqlstate("42P01")),
    too_many_connections = static_cast<int>(make_sqlstate("53300")),
    query_canceled = static_cast<int>(make_sqlstate("57014")),
    admin_shutdown = static_cast<int>(make_sqlstate("57P01")),
    crash_shutdown = static_cast<int>(make_sqlstate("57P02")),
    cannot_connect_now = static_cast<int>(make_sqlstate("57P03")),
};

/// The five characters of `code`.
PGSTATE_API std::string to_string(sqlstate code);

/// For Boost.System: of `pgstate_category()`.
inline boost::system::error_code make_error_code(errc e) noexcept {
    return {static_cast<int>(e), pgstate_category()};
}
/// For Boost.System: of `sqlstate_category()`.
inline boost::system::error_code make_error_code(sqlstate e) noexcept {
    return {static_cast<int>(e), sqlstate_category()};
}

} // namespace pgstate

template <>
struct boost::system::is_error_code_enum<pgstate::errc> : std::true_type {};
template <>
struct boost::system::is_error_code_enum<pgstate::sqlstate> : std::true_type {};

namespace pgstate {

/// Every failure of this library. `code()` compares with `errc`, with `sqlstate` and with Asio's errors; `what()` is
/// for people: it names the operation and says what to do. Neither ever contains a password or a state's content.
class PGSTATE_API error : public boost::system::system_error {
public:
    /// No error; what `result<T>::error()` gives where there is none.
    error() : error(boost::system::error_code{}, {}) {}

    /// `what()` becomes "OPERATION: MESSAGE" (or the code's own message where `message` is empty).
    /// \param operation  the operation's name ("save", "open", ...)
    error(boost::system::error_code code, std::string_view operation, std::string_view message = {});

    /// What the server refused: the code is the SQLSTATE's.
    static error from_server(std::string_view sqlstate, std::string_view operation, std::string_view message);

    /// "OPERATION: MESSAGE"; valid while this object lives and is not assigned to.
    const char* what() const noexcept override { return what_.c_str(); }

    /// The operation that failed: "save", "load", "open", "connect", ...
    const std::string& operation() const noexcept { return operation_; }

    /// The server's SQLSTATE, five characters; empty when no server was involved.
    const std::string& sqlstate() const noexcept { return sqlstate_; }

    /// conflict: the version that the state has now (0: there is none); absent for every other code.
    std::optional<std::int64_t> current_version() const noexcept { return current_version_; }

    /// callback_failed: what the function threw; null for every other code.
    const std::exception_ptr& cause() const noexcept { return cause_; }

    error& with_sqlstate(std::string_view sqlstate) &;   ///< sets `sqlstate()`, and gives this object
    error& with_current_version(std::int64_t version) &; ///< sets `current_version()`, likewise
    error& with_cause(std::exception_ptr cause) &;       ///< sets `cause()`, likewise

    /// Whether the code is that one, of any category.
    friend bool operator==(const error& e, const boost::system::error_code& c) noexcept {
        return e.code() == c;
    }
    /// Whether pgstate itself decided it so.
    friend bool operator==(const error& e, errc c) noexcept { return e.code() == make_error_code(c); }
    /// Whether the server refused it so.
    friend bool operator==(const error& e, enum sqlstate c) noexcept {
        return e.code() == make_error_code(c);
    }

private:
    std::string what_;
    std::string operation_;
    std::string sqlstate_;
    std::optional<std::int64_t> current_version_;
    std::exception_ptr cause_;
};

/// Turns any exception into an `error`: an `error` as it is, a `boost::system::system_error` by its code, anything
/// else as `callback_failed` with itself as the cause.
PGSTATE_API error to_error(std::exception_ptr failure);

/// For `boost::system::result<T, error>::value()`.
[[noreturn]] PGSTATE_API void throw_exception_from_error(const error& e, const boost::source_location& where);

} // namespace pgstate
