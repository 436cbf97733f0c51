#include "pgstate/version.hpp"

namespace pgstate {

int version() noexcept {
    return PGSTATE_VERSION;
}

} // namespace pgstate
