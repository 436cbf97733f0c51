#pragma once

#include "schema/shape.hpp"

#include <string>

namespace pqxx {
class transaction_base;
}

namespace pgstate::schema {

/// The table as it is, and what the session may do about it.
struct catalog_entry {
    table_shape shape;
    std::string role;           ///< the session's current role
    bool may_use_schema = true; ///< USAGE on the schema
};

/// Reads the system catalogs: works for every role and on a standby, and takes no lock on the table.
catalog_entry read_catalog(pqxx::transaction_base& sql, const settings::resolved_config& config);

} // namespace pgstate::schema
