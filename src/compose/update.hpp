#ifndef PGSTATE_COMPOSE_UPDATE_HPP
#define PGSTATE_COMPOSE_UPDATE_HPP

#include <chrono>

namespace pgstate::compose {

/// The pause before the `retry`-th attempt (from 1) of a writer who found another's version: anything from nothing to a
/// limit that doubles from 2 ms to 500 ms, so that writers who met once do not meet again.
/// \param random  0 to 1
std::chrono::microseconds conflict_pause(int retry, double random) noexcept;

} // namespace pgstate::compose

#endif
