#pragma once

#include <boost/version.hpp>

#if BOOST_VERSION >= 108200
#    include <boost/asio/deferred.hpp>
#else
#    include <boost/asio/use_awaitable.hpp>
#endif

namespace pgstate {

/// The completion token of an operation that is given none; what it makes is awaited: `co_await store.load("a", "s")`.
#if BOOST_VERSION >= 108200
// Awaited in an awaitable of any executor, and without a coroutine of its own.
using default_token = boost::asio::deferred_t;
#else
// Boost 1.81 awaits no deferred operation that has an exception_ptr and a value.
using default_token = boost::asio::use_awaitable_t<>;
#endif

} // namespace pgstate
