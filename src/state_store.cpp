#include "pgstate/state_store.hpp"

#include "pgstate/transaction.hpp"

namespace pgstate {

// Out of line, so that the classes' tables have one home.
state_store::~state_store() = default;
transaction::~transaction() = default;

} // namespace pgstate
