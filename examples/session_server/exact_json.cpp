#include "exact_json.hpp"

#include "problem.hpp"

#include <boost/json/array.hpp>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/error.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>
#include <boost/json/value_stack.hpp>

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

namespace session_server {
namespace {

namespace json = boost::json;
using boost::system::error_code;

/// Without leading and trailing zeros; of zero, none.
std::string significant_digits(std::string_view number) {
    std::string digits;
    for (const char c : number.substr(0, number.find_first_of("eE")))
        if (c >= '0' && c <= '9' && !(c == '0' && digits.empty())) digits += c;
    while (digits.ends_with('0'))
        digits.pop_back();
    return digits;
}

/// The nearest double, if its shortest form has the digits of `literal`: the powers of ten are the same then.
std::optional<double> exact_double(std::string_view literal) {
    const auto digits = significant_digits(literal);
    if (digits.empty()) return 0; // whatever its exponent
    double value = 0;
    const auto parsed = std::from_chars(literal.data(), literal.data() + literal.size(), value);
    char shortest[32];
    const auto written =
        std::to_chars(shortest, shortest + sizeof shortest, value, std::chars_format::scientific);
    const bool exact = parsed.ec == std::errc() && significant_digits({shortest, written.ptr}) == digits;
    return exact ? std::optional(value) : std::nullopt;
}

/// Builds the value from what a parser finds, as Boost.JSON's own handler does.
struct exact_handler {
    static constexpr std::size_t max_object_size = json::object::max_size();
    static constexpr std::size_t max_array_size = json::array::max_size();
    static constexpr std::size_t max_key_size = json::string::max_size();
    static constexpr std::size_t max_string_size = json::string::max_size();

    json::value_stack stack;
    std::string number; ///< what came of one that comes in parts
    bool inexact = false;

    bool on_document_begin(error_code&) {
        stack.reset();
        return true;
    }
    bool on_document_end(error_code&) { return true; }
    bool on_object_begin(error_code&) { return true; }
    bool on_object_end(std::size_t count, error_code&) {
        stack.push_object(count);
        return true;
    }
    bool on_array_begin(error_code&) { return true; }
    bool on_array_end(std::size_t count, error_code&) {
        stack.push_array(count);
        return true;
    }
    bool on_key_part(json::string_view part, std::size_t, error_code&) {
        stack.push_chars(part);
        return true;
    }
    bool on_key(json::string_view last, std::size_t, error_code&) {
        stack.push_key(last);
        return true;
    }
    bool on_string_part(json::string_view part, std::size_t, error_code&) {
        stack.push_chars(part);
        return true;
    }
    bool on_string(json::string_view last, std::size_t, error_code&) {
        stack.push_string(last);
        return true;
    }
    bool on_number_part(json::string_view part, error_code&) {
        number.append(part.data(), part.size());
        return true;
    }
    bool on_int64(std::int64_t value, json::string_view, error_code&) {
        stack.push_int64(value);
        number.clear();
        return true;
    }
    bool on_uint64(std::uint64_t value, json::string_view, error_code&) {
        stack.push_uint64(value);
        number.clear();
        return true;
    }
    // Boost 1.81's own double can be the next one to the nearest.
    bool on_double(double, json::string_view last, error_code& failure) {
        const auto value = exact_double(number.append(last.data(), last.size()));
        number.clear();
        inexact = !value;
        if (inexact) {
            failure = json::make_error_code(json::error::syntax); // any stops the parser
            return false;
        }
        stack.push_double(*value);
        return true;
    }
    bool on_bool(bool value, error_code&) {
        stack.push_bool(value);
        return true;
    }
    bool on_null(error_code&) {
        stack.push_null();
        return true;
    }
    bool on_comment_part(json::string_view, error_code&) { return true; }
    bool on_comment(json::string_view, error_code&) { return true; }
};

} // namespace

json::value parse_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = 500; // documents of the store can be 512 deep
    json::basic_parser<exact_handler> parser(options);
    error_code failure;
    const auto used = parser.write_some(false, text.data(), text.size(), failure);
    auto& read = parser.handler();
    if (read.inexact)
        throw http_error(400,
                         "the content has a number that is neither a 64-bit integer nor a double to its last "
                         "digit; send it as a string");
    if (!failure && used < text.size()) failure = json::make_error_code(json::error::extra_data);
    if (failure) throw http_error(400, "the content is not JSON: " + failure.message());
    return read.stack.release();
}

} // namespace session_server
