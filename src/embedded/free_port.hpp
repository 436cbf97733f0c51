#ifndef PGSTATE_EMBEDDED_FREE_PORT_HPP
#define PGSTATE_EMBEDDED_FREE_PORT_HPP

namespace pgstate::embedded {

/// A port of 127.0.0.1 that nothing listens on at this moment; another program may be faster.
/// \throws boost::system::system_error - there is none
unsigned short free_port();

} // namespace pgstate::embedded

#endif
