// Cursors: a text is one or is refused, has one spelling, and is good for its own query only.

#include "codec/cursor.hpp"

#include "detail/utf8.hpp"
#include "fuzz/fuzz.hpp"
#include "pgstate/error.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace {

using pgstate_fuzz::require;
using namespace pgstate::codec;

std::optional<page_position> decode(query_kind kind, std::string_view scope, std::string_view text) {
    try {
        return decode_cursor(kind, scope, text, "list");
    } catch (const pgstate::error& e) {
        require(e == pgstate::errc::invalid_argument, "what is no cursor is an invalid argument");
        return std::nullopt;
    }
}

bool can_be_keys(const page_position& position) {
    return position.agent_id.size() + position.session_id.size() <= pgstate::max_key_bytes &&
           pgstate::detail::check_text(position.agent_id) == pgstate::detail::text_fault::none &&
           pgstate::detail::check_text(position.session_id) == pgstate::detail::text_fault::none;
}

void any_text(std::string_view text) {
    for (const auto kind : {query_kind::list, query_kind::find, query_kind::list_agents})
        for (const std::string_view scope : {"", "agent-1"})
            if (const auto position = decode(kind, scope, text))
                require(encode_cursor(kind, scope, *position) == text, "a cursor has one spelling");
}

void any_position(pgstate_fuzz::reader in) {
    const auto kind = static_cast<query_kind>(1 + in.number<std::uint8_t>() % 3);
    const auto change_at = in.number<std::uint16_t>();
    const auto change_to = in.number<char>();
    const auto time = in.number<std::int64_t>();
    const std::string scope(in.text());
    const std::string agent(in.text());
    const page_position position{pgstate::timestamp(std::chrono::microseconds(time)), agent,
                                 std::string(in.rest())};

    auto text = encode_cursor(kind, scope, position);
    const auto again = decode(kind, scope, text);
    require(again.has_value() == can_be_keys(position), "a position with a row's keys has a cursor");
    require(!again || *again == position, "a position reads back as it was");
    require(!decode(kind, scope + "x", text), "a cursor is refused for another scope");
    require(!decode(static_cast<query_kind>(1 + static_cast<int>(kind) % 3), scope, text),
            "a cursor is refused for another kind of query");

    char& changed = text[change_at % text.size()];
    if (changed == change_to) return;
    changed = change_to;
    require(!decode(kind, scope, text), "a cursor that was altered is refused");
}

void use_cursor(std::string_view input) {
    pgstate_fuzz::reader in(input);
    if (in.number<std::uint8_t>() % 2 == 0)
        any_text(in.rest());
    else
        any_position(in);
}

const pgstate_fuzz::target registered("cursor", use_cursor);

} // namespace
