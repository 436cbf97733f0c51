#pragma once

#include <pqxx/params>
#include <pqxx/result>
#include <pqxx/transaction_base>
#include <pqxx/zview>

#include <utility>

namespace pgstate::sql {

/// What a result has in a row and a column: pqxx::field, but for libpqxx 8.
using field = decltype(std::declval<const pqxx::result&>()[0][0]);

/// Runs a statement with parameters: libpqxx 7.8 calls it exec_params, later versions exec.
template <class Transaction>
pqxx::result execute(Transaction& on, pqxx::zview sql, const pqxx::params& values) {
    if constexpr (requires { on.exec(sql, values); })
        return on.exec(sql, values);
    else
        return on.exec_params(sql, values);
}

} // namespace pgstate::sql
