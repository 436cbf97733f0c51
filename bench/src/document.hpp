#ifndef PGSTATE_BENCH_DOCUMENT_HPP
#define PGSTATE_BENCH_DOCUMENT_HPP

#include "pgstate/agent_state.hpp"

#include <string>
#include <string_view>

namespace bench {

// States as documents by means of Boost.JSON alone, as a program without the store does it.

std::string to_document(const pgstate::agent_state& state);
/// \throws boost::system::system_error, std::exception  the text is not a document of to_document
pgstate::agent_state from_document(std::string_view text);

/// Reads what RFC 3339 and PostgreSQL's ISO style have in common; the time must be in UTC.
pgstate::timestamp parse_time(std::string_view text);

} // namespace bench

#endif
