#include "pgstate/state_store.hpp"

#include "pgstate/transaction.hpp"

namespace pgstate {

// Out of line, so that the classes' tables have one home.
detail::store_virtuals::~store_virtuals() = default;
state_store::~state_store() = default;
transaction::~transaction() = default;

} // namespace pgstate
