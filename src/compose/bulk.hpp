#ifndef PGSTATE_COMPOSE_BULK_HPP
#define PGSTATE_COMPOSE_BULK_HPP

#include "pgstate/detail/encoded_state.hpp"

#include <cstddef>
#include <vector>

namespace pgstate::compose {

/// The positions of `states` in the order of their keys, by bytes: the order in which one transaction saves them, so that
/// two transactions that lock some of the same rows do not wait for each other.
/// \throws error invalid_argument - a state is refused, or two have the same key; names the positions
std::vector<std::size_t> order_by_key(const std::vector<detail::encoded_state>& states);

} // namespace pgstate::compose

#endif
