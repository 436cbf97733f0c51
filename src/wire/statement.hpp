#ifndef PGSTATE_WIRE_STATEMENT_HPP
#define PGSTATE_WIRE_STATEMENT_HPP

#include "pgstate/agent_state.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate::wire {

/// Object identifiers of the types that are sent (PostgreSQL's pg_type.dat; fixed for ever).
enum class type_oid : unsigned {
    int8 = 20,
    text = 25,
    timestamptz = 1184,
    jsonb = 3802,
    jsonpath = 4072,
    text_array = 1009,
    int8_array = 1016,
    uuid = 2950,
    uuid_array = 2951,
};

/// 16 bytes that the server compares and stores as one value.
using uuid = std::array<unsigned char, 16>;

/// Where timestamptz counts its microseconds from.
inline constexpr timestamp postgres_epoch = std::chrono::sys_days(std::chrono::year{2000} / 1 / 1);

/// A statement that is sent many times. Its address is its identity: one object for each text, outliving every
/// connection that it is sent on.
struct statement {
    std::string
        name; ///< its name on the server when it is prepared; empty: always unnamed, planned anew each time
    std::string sql;
    std::vector<type_oid> parameters;
    std::string verb{}; ///< what it does, in one word; empty: its first
};

/// Parameters, nearly all in PostgreSQL's binary format (array_recv, textrecv and friends): no escaping, no quoting,
/// one pass.
class parameters {
public:
    void add_text(std::string_view value);
    /// A jsonb document in its text format, which the server takes in with the fewest copies. None is made here
    /// either: `document`, without NUL characters, must stay where it is until the parameters have been sent.
    void add_jsonb_in_place(const std::string& document);
    /// A path in its text format; as add_jsonb_in_place.
    void add_jsonpath_in_place(const std::string& path) { add_jsonb_in_place(path); }
    void add_int8(std::int64_t value);
    /// One that is earlier than the server can hold is sent as its -infinity.
    void add_timestamptz(timestamp value);
    /// A timestamptz as rows::server_time gives it.
    void add_server_time(timestamp as_it_stands) { add_int8(as_it_stands.time_since_epoch().count()); }
    void add_uuid(const uuid& value);
    /// Not copied here: `value` must stay where it is until the parameters have been sent.
    void add_uuid_in_place(const uuid& value);
    void add_null();

    /// Arrays: begin, then exactly `count` elements of the kind, then the next parameter.
    void begin_text_array(std::size_t count, std::size_t bytes_hint = 0);
    void begin_int8_array(std::size_t count);
    void begin_uuid_array(std::size_t count);
    void element_text(std::string_view value);
    void element_int8(std::int64_t value);
    void element_uuid(const uuid& value);

    std::size_t size() const noexcept { return values_.size(); }
    /// Of all values.
    std::size_t bytes() const noexcept {
        std::size_t sum = 0;
        for (std::size_t i = 0; i < values_.size(); ++i)
            sum += value(i).size();
        return sum;
    }
    /// Without data: NULL.
    std::string_view value(std::size_t index) const noexcept {
        const auto& at = values_[index];
        if (at.null) return {};
        return at.in_place.data() ? at.in_place : std::string_view(at.own);
    }
    /// Of libpq's formats: 0 is text, 1 is binary.
    int format(std::size_t index) const noexcept { return values_[index].text ? 0 : 1; }

private:
    void begin_array(type_oid element, std::size_t count, std::size_t bytes_hint);

    struct one_value {
        std::string own;
        std::string_view in_place; ///< instead, if it has data
        bool null = false;         ///< instead
        bool text = false;         ///< in PostgreSQL's text format
    };
    std::string& add() { return values_.emplace_back().own; }

    std::vector<one_value> values_;
};

/// A statement to run first, in the transaction of another, always with the same values.
struct preamble {
    statement what;
    parameters values{};
};

/// A statement with its values, both of which are somebody else's: part of an exchange.
struct step {
    const statement* what;
    const parameters* values;
    bool tells = false; ///< of one that runs before another: its rows go into the reply
};

} // namespace pgstate::wire

#endif
