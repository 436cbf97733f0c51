#include "codec/codec.hpp"

#include "codec/document_reader.hpp"
#include "codec/json_writer.hpp"
#include "pgstate/detail/document_check.hpp"
#include "pgstate/error.hpp"
#include "pgstate/operations.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/parse_options.hpp>
#include <boost/system/error_code.hpp>

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

namespace pgstate::codec {
namespace {

/// Writes one document; every refusal names the member it stands in.
class document_writer {
public:
    explicit document_writer(std::string_view operation) : operation_(operation) { out_.reserve(1024); }

    placed_document write(const agent_state& state, std::size_t known) {
        out_ += '{';
        member("agent_id", [&] { append_string(out_, state.agent_id); });
        member("session_id", [&] { append_string(out_, state.session_id); });
        member("version", [&] { append_value(out_, state.version, 1); });
        member("data", [&] { append_object(out_, state.data, 1); });
        name("history");
        history(state.history, known);
        member("context", [&] { append_object(out_, state.context, 1); });
        member("created_at", [&] { time_or_now(nearest_rfc3339(state.created_at)); }); // the column has it
        member("updated_at", [&] { time(now_); });
        unnamed("extra", [&] { extra(state.extra, document_members, 1); });
        out_ += '}';
        check_document_size(out_.size(), operation_);
        return {std::move(out_), std::move(place_), now_};
    }

    placed_document write_messages(std::span<const agent_message> messages) {
        history(messages);
        return {std::move(out_), std::move(place_), now_};
    }

    std::string write_members(const boost::json::object& members, std::string_view name) {
        unnamed(name, [&] { append_object(out_, members, 1); });
        return std::move(out_);
    }

private:
    void name(std::string_view text) {
        if (out_.back() != '{') out_ += ',';
        out_ += '"';
        out_ += text; // one of ours: nothing to escape
        out_ += "\":";
    }

    template <class Write>
    void member(std::string_view text, Write write) {
        name(text);
        unnamed(text, write);
    }

    /// \param text  what a refusal calls it
    template <class Write>
    void unnamed(std::string_view text, Write write) {
        try {
            write();
        } catch (const unwritable& u) {
            std::string what;
            if (message_ != nowhere) what = "history[" + std::to_string(message_) + "].";
            throw error(errc::invalid_argument, operation_, what.append(text).append(" ").append(u.reason));
        }
    }

    void history(std::span<const agent_message> messages, std::size_t first = 0) {
        place_.begin = out_.size();
        place_.messages.reserve(messages.size() - first);
        reserve_for(messages.subspan(first));
        out_ += '[';
        for (std::size_t i = first; i < messages.size(); ++i) {
            const auto& message = messages[i];
            message_ = i;
            if (i != first) out_ += ',';
            place_.messages.push_back(out_.size());
            out_ += R"({"role":)";
            unnamed("role", [&] { append_string(out_, message.role); });
            out_ += R"(,"content":)";
            unnamed("content", [&] { append_string(out_, message.content); });
            out_ += R"(,"timestamp":)";
            unnamed("timestamp", [&] { time_or_now(message.timestamp); });
            if (!message.metadata.empty())
                member("metadata", [&] { append_object(out_, message.metadata, 3); });
            if (!message.id.empty()) member(name_of_id, [&] { id(message.id); });
            unnamed("extra", [&] { extra(message.extra, members_in_place(message), 3); });
            out_ += '}';
        }
        message_ = nowhere;
        out_ += ']';
        place_.end = out_.size();
    }

    /// A long text that grows step by step would be copied each time.
    void reserve_for(std::span<const agent_message> messages) {
        constexpr std::size_t around = 80;   // the names of the members, and a time
        constexpr std::size_t behind = 1024; // for what follows the history
        std::size_t bytes = 0;
        for (const auto& each : messages)
            bytes += each.role.size() + each.content.size() + each.id.size() + around;
        if (bytes > 4 * behind) out_.reserve(out_.size() + bytes + behind);
    }

    void id(std::string_view text) {
        if (!is_message_id(text))
            throw unwritable{"is longer than " + std::to_string(max_message_id_bytes) + " bytes"};
        append_string(out_, text);
    }

    /// Those that `extra` must not have: also `id`, unless its value cannot be a message id.
    static std::span<const std::string_view> members_in_place(const agent_message& message) {
        const auto* const other = message.id.empty() ? message.extra.if_contains(name_of_id) : nullptr;
        const auto* const text = other ? other->if_string() : nullptr;
        const bool odd = other && !other->is_null() && !(text && is_message_id(*text));
        return odd ? message_members.first(message_members.size() - 1) : message_members;
    }

    void extra(const boost::json::object& members, std::span<const std::string_view> known,
               std::size_t depth) {
        for (const auto& [key, value] : members) {
            const std::string_view text(key.data(), key.size());
            if (std::find(known.begin(), known.end(), text) != known.end())
                throw unwritable{"has a member with the name of a known one; set that one instead"};
            out_ += ',';
            append_string(out_, text);
            out_ += ':';
            append_value(out_, value, depth);
        }
    }

    void time(timestamp when) {
        out_ += '"';
        if (!append_rfc3339(out_, when))
            throw unwritable{"is outside the years 0 to 9999, which RFC 3339 can hold"};
        out_ += '"';
    }

    void time_or_now(timestamp when) { time(when == timestamp{} ? now_ : when); }

    static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

    std::string_view operation_;
    const timestamp now_ = std::chrono::floor<timestamp::duration>(std::chrono::system_clock::now());
    std::string out_;
    detail::history_place place_;
    std::size_t message_ = nowhere; ///< where in the history the writer stands
};

/// A key as a message can show it: control characters would break a log line.
std::string quoted(std::string_view key) {
    std::string out = "\"";
    for (char c : key) {
        if (c == '"' || c == '\\') out += '\\';
        out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
    return out += '"';
}

std::string reason_of(const boost::system::error_code& ec) {
    if (ec == boost::json::error::too_deep)
        return "the document is nested deeper than " + std::to_string(max_depth) + " objects and arrays";
    return "the document is no valid JSON: " + ec.message();
}

/// Lets `reader` read all of `document`. \param end  gets where it ended
boost::system::error_code read_document(boost::json::basic_parser<document_reader>& parser,
                                        std::string_view document, std::size_t* end = nullptr) {
    boost::system::error_code ec;
    const auto used = parser.write_some(false, document.data(), document.size(), ec);
    if (end) *end = used;
    if (!ec && used < document.size()) ec = boost::json::make_error_code(boost::json::error::extra_data);
    return ec;
}

/// Lets `reader` read messages that are rows, as the document they belong to.
boost::system::error_code read_rows(boost::json::basic_parser<document_reader>& parser,
                                    std::string_view messages) {
    boost::system::error_code ec;
    for (const std::string_view part : {std::string_view(R"({"history":[)"), messages})
        if (!ec) parser.write_some(true, part.data(), part.size(), ec);
    if (!ec) parser.write_some(false, "]}", 2, ec);
    return ec;
}

boost::json::parse_options nested_to(std::size_t depth) {
    boost::json::parse_options options;
    options.max_depth = depth;
    return options;
}

} // namespace

void check_document_size(std::size_t bytes, std::string_view operation) {
    if (bytes <= max_document_bytes) return;
    throw error(errc::invalid_argument, operation,
                "the document is " + std::to_string(bytes) + " bytes of JSON; PostgreSQL takes in at most " +
                    std::to_string(max_document_bytes) +
                    ": keep large contents elsewhere, and refer to them");
}

std::string encode(const agent_state& state, std::string_view operation, std::size_t known) {
    return encode_placed(state, operation, known).text;
}

placed_document encode_placed(const agent_state& state, std::string_view operation, std::size_t known) {
    return document_writer(operation).write(state, known);
}

std::string without_history(std::string_view document, const detail::history_place& history) {
    std::string rest(document.substr(0, history.begin));
    return rest.append("\"").append(history_in_rows).append("\"").append(document.substr(history.end));
}

std::vector<std::string_view> messages_in(std::string_view document, const detail::history_place& history,
                                          std::size_t first) {
    std::vector<std::string_view> texts;
    const auto& begins = history.messages;
    texts.reserve(begins.size() - std::min(first, begins.size()));
    for (std::size_t i = first; i < begins.size(); ++i) {
        const auto end = (i + 1 < begins.size() ? begins[i + 1] : history.end) - 1; // a comma, or the bracket
        texts.push_back(document.substr(begins[i], end - begins[i]));
    }
    return texts;
}

placed_document encode_messages(std::span<const agent_message> messages, std::string_view operation) {
    return document_writer(operation).write_messages(messages);
}

std::string encode_members(const boost::json::object& members, std::string_view name,
                           std::string_view operation) {
    return document_writer(operation).write_members(members, name);
}

agent_state decode(std::string_view agent_id, std::string_view session_id, std::string_view document,
                   std::int64_t version, timestamp created_at, timestamp updated_at,
                   std::optional<timestamp> expires_at, std::string_view operation,
                   std::optional<std::string_view> rows) {
    const auto check = [&](const boost::system::error_code& ec, const document_reader& reader) {
        if (!ec) return;
        throw error(errc::corrupt_state, operation,
                    "the stored state of agent " + quoted(agent_id) + ", session " + quoted(session_id) +
                        " cannot be read: " + (reader.refusal().empty() ? reason_of(ec) : reader.refusal()));
    };
    boost::json::basic_parser<document_reader> parser(nested_to(max_depth), document_reader::reads::all,
                                                      rows ? document_reader::histories::may_be_in_rows
                                                           : document_reader::histories::in_document);
    auto& reader = parser.handler();
    check(read_document(parser, document), reader);
    agent_state state = std::move(reader.state());
    if (rows && reader.history_is_in_rows()) {
        boost::json::basic_parser<document_reader> messages(nested_to(max_depth));
        check(read_rows(messages, *rows), messages.handler());
        state.history = std::move(messages.handler().state().history);
    }
    state.agent_id = agent_id;
    state.session_id = session_id;
    state.version = version;
    state.created_at = created_at;
    state.updated_at = updated_at;
    state.expires_at = expires_at;
    return state;
}

boost::json::value read_value(std::string_view json) {
    // A member that an agent state does not know can be anything.
    constexpr std::string_view name = "value";
    boost::json::basic_parser<document_reader> parser(nested_to(max_depth + 1));
    const auto ec = read_document(parser, std::string(R"({"value":)").append(json).append("}"));
    if (ec) throw boost::system::system_error(ec);
    return std::move(parser.handler().state().extra.at(name));
}

} // namespace pgstate::codec

namespace pgstate {

detail::document_check::document_check(std::string_view json) {
    using codec::document_reader;
    boost::json::basic_parser<document_reader> parser(codec::nested_to(codec::max_depth),
                                                      document_reader::reads::shape);
    const auto ec = codec::read_document(parser, json, &read);
    refusal = parser.handler().refusal();
    if (ec == boost::json::error::too_deep) refusal = codec::reason_of(ec);
    if (!ec && json.size() > codec::max_document_bytes)
        refusal = "the document is " + std::to_string(json.size()) + " bytes; PostgreSQL takes in at most " +
                  std::to_string(codec::max_document_bytes);
    is_json = !ec || !refusal.empty();
    row = std::move(parser.handler().row());
}

} // namespace pgstate
