#pragma once

#include "pgstate/config.hpp"
#include "pgstate/error.hpp"
#include "wire/rows.hpp"
#include "wire/statement.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pqxx {
class transaction_base;
}

namespace pgstate::sql {

using session_settings = std::vector<session_setting>;

/// A statement that sets them for its transaction. Values are parameters: the server has them in no statement's text,
/// and a pooler has one statement for all tenants.
/// \param size    an expression for its first column
/// \param others  "" or further columns, for what pgstate itself sets: it comes last, and wins
wire::preamble setting_preamble(std::string_view purpose, std::string_view size,
                                const session_settings& settings, std::string_view others = {});

/// Sets for its transaction how long a statement may take, $1, and how long it may wait for a lock, $2; in milliseconds.
/// Null leaves one as it is; so does a limit that the session already has and that is shorter.
const wire::statement& time_limits() noexcept;

/// Sets them for a transaction that has begun; nothing where there are none. Blocks.
/// \throws error  what set_config refused; whatever else libpqxx throws
void set_for(pqxx::transaction_base& transaction, const session_settings& settings,
             std::string_view operation);

/// `message` without the values that it quotes: the server repeats what it could not use.
std::string without_values(std::string message, const session_settings& settings);

/// The same for a refusal of the server's.
/// \param before  it is a statement that ran before the operation's own that was refused
void censor(wire::server_error& refusal, bool before, const session_settings& settings);

/// Throws `failure`, which is being handled, without the values.
[[noreturn]] void rethrow_without_values(const error& failure, const session_settings& settings);

/// `work()`, whose errors tell no values.
template <class Work>
auto keeping_values_secret(const session_settings& settings, Work work) {
    try {
        return work();
    } catch (const error& failure) {
        rethrow_without_values(failure, settings);
    }
}

} // namespace pgstate::sql
