#ifndef PGSTATE_STORE_CHANGE_SQL_HPP
#define PGSTATE_STORE_CHANGE_SQL_HPP

#include "store/change.hpp"
#include "store/sql_text.hpp"
#include "wire/statement.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace pgstate::store {

/// A statement that makes a change of a part. Its parameters: $1 and $2 are the key; $3 is the version that the row must
/// have, or NULL, and of the forms that make a row how long that lives; $4 is how long a row lives that is there, or 0 to
/// leave that; from $5 on the change; of the forms that make a row its document; and last the statement's name.
struct change_statement {
    change_form form;
    std::string purpose; ///< for its name on the server
    std::string text;
    std::vector<wire::type_oid> types;
};

/// One for each form but touch.
std::vector<change_statement> change_statements(const sql_text& sql, std::string_view returning);

} // namespace pgstate::store

#endif
