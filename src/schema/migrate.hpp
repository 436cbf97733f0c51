#pragma once

#include "config/resolved.hpp"
#include "pgstate/postgres_store.hpp"
#include "sql/table_sql.hpp"

namespace pqxx {
class connection;
}

namespace pgstate::schema {

/// Brings the configured table up to date, or looks whether it is, as `config.schema.migrate` says. Blocks.
///
/// A table that is current is only looked at: no lock, no write, no rights but to read the catalogs. Otherwise `apply`
/// does everything in one transaction, after which the table is current, or nothing has changed. Processes that do so
/// at the same time wait for one another.
///
/// Errors:  schema_mismatch - the table has another shape, or `verify` found it not current; names the differences
///          SQLSTATE 42501 - the role may not do what is needed; says what to grant
///          SQLSTATE 3F000 - the schema does not exist
///          SQLSTATE 25006 - the table is not current and the server is a standby
///          SQLSTATE 55P03 - the table was in use for longer than the session's lock_timeout, or 10 seconds
///          unavailable, any other SQLSTATE - as they come
/// Returns where histories may be, without the table of checkpoints. With migrate_mode::off, nothing but `config` says so.
/// \pre no transaction is open on `connection`
sql::histories migrate(pqxx::connection& connection, const settings::resolved_config& config);

/// Looks only, and says what `migrate` would do or refuse. Blocks.
schema_report inspect(pqxx::connection& connection, const settings::resolved_config& config);

} // namespace pgstate::schema
