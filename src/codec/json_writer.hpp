#ifndef PGSTATE_CODEC_JSON_WRITER_HPP
#define PGSTATE_CODEC_JSON_WRITER_HPP

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace pgstate::codec {

/// Thrown for what jsonb cannot hold. Whoever calls the writer knows where it stands and says so.
struct unwritable {
    std::string reason; ///< completes "PLACE ..."
};

// Each appends compact JSON to `out`, and throws `unwritable`. `depth` is how many containers are already open around
// the value; more than max_depth are refused.

void append_string(std::string& out, std::string_view text);
void append_object(std::string& out, const boost::json::object& members, std::size_t depth);
void append_value(std::string& out, const boost::json::value& value, std::size_t depth);

} // namespace pgstate::codec

#endif
