// The codec of documents: what it reads it writes as JSON that says the same, or refuses with a typed error.

#include "codec/codec.hpp"

#include "fuzz/fuzz.hpp"
#include "pgstate/detail/document_check.hpp"
#include "pgstate/error.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/parse_options.hpp>
#include <boost/system/error_code.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace {

using pgstate::agent_state;
using pgstate_fuzz::require;
namespace codec = pgstate::codec;

constexpr pgstate::timestamp some_time(std::chrono::seconds(1'700'000'000));

std::optional<agent_state> decode(std::string_view document) {
    try {
        return codec::decode("a", "s", document, 7, some_time, some_time);
    } catch (const pgstate::error& e) {
        require(e == pgstate::errc::corrupt_state, "an unreadable document is a corrupt state");
        return std::nullopt;
    }
}

std::optional<std::string> encode(const agent_state& state) {
    try {
        return codec::encode(state);
    } catch (const pgstate::error& e) {
        // JSON can hold what jsonb cannot: "\u0000", say.
        require(e == pgstate::errc::invalid_argument, "what cannot be written is an invalid argument");
        return std::nullopt;
    }
}

void check_json(const std::string& text) {
    boost::json::parse_options options;
    options.max_depth = codec::max_depth;
    boost::system::error_code failed;
    boost::json::parse(text, failed, {}, options);
    require(!failed, "what is written is JSON");
}

void check_value(const boost::json::object& members, std::string_view name) {
    const auto text = codec::encode_members(members, name, "merge");
    require(codec::read_value(text) == boost::json::value(members), "a part reads back as it was");
}

void read_document(std::string_view input) {
    auto state = decode(input);
    // Of `expires_at`, which a name can also be written as with escapes, only the check knows.
    if (const pgstate::detail::document_check check(input);
        input.find("expires") == input.npos && input.find("\\u") == input.npos)
        require(state.has_value() == (check.is_json && check.refusal.empty()),
                "what is looked at without being built is judged alike");
    if (!state) return;
    const auto text = encode(*state);
    if (!text) return;
    check_json(*text);
    const auto again = decode(*text);
    require(again.has_value() && again->history.size() == state->history.size(),
            "what is written can be read");
    for (std::size_t i = 0; i < state->history.size(); ++i)
        if (auto& when = state->history[i].timestamp; when == pgstate::timestamp())
            when = again->history[i].timestamp; // that of the save
    require(*again == *state, "a state reads back as it was");
    require(codec::encode_messages(again->history, "append").text ==
                codec::encode_messages(state->history, "append").text,
            "the same messages are written alike");
    check_value(state->data, "data");
    check_value(state->context, "context");
}

const pgstate_fuzz::target registered("codec", read_document);

} // namespace
