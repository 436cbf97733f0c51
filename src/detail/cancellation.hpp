#ifndef PGSTATE_DETAIL_CANCELLATION_HPP
#define PGSTATE_DETAIL_CANCELLATION_HPP

#include <boost/asio/cancellation_type.hpp>

namespace pgstate::detail {

/// Whether side effects may follow such a cancellation. Of asio's types, total alone promises that there are none.
inline bool allows_effects(boost::asio::cancellation_type how) noexcept {
    using boost::asio::cancellation_type;
    return (how & (cancellation_type::terminal | cancellation_type::partial)) != cancellation_type::none;
}

} // namespace pgstate::detail

#endif
