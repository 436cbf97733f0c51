#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/detail/document_check.hpp"

#include <boost/json/array.hpp>
#include <boost/json/error.hpp>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>
#include <boost/json/string_view.hpp>
#include <boost/json/value.hpp>
#include <boost/json/value_stack.hpp>
#include <boost/system/error_code.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace pgstate::codec {

/// The members that have a place of their own: a document's in the Go SDK's order, then a message's.
inline constexpr std::array<std::string_view, 13> member_names = {
    "agent_id",   "session_id", "version", "data",      "history",  "context", "created_at",
    "updated_at", "role",       "content", "timestamp", "metadata", "id"};
inline constexpr std::span<const std::string_view> document_members = std::span(member_names).first<8>();
inline constexpr std::span<const std::string_view> message_members = std::span(member_names).last<5>();

/// The member for agent_message::id, and what it can be.
inline constexpr std::string_view name_of_id = member_names.back();
constexpr bool is_message_id(std::string_view text) noexcept {
    return !text.empty() && text.size() <= max_message_id_bytes;
}

/// The handler of a boost::json::basic_parser that turns a document into an agent_state in one pass: known members go
/// straight to their place, free-form JSON (data, context, metadata, unknown members) is built on a value_stack.
/// Absent and null members stay at their defaults, as Go's nil maps and slices are written as null.
class document_reader {
public:
    using error_code = boost::system::error_code;
    using string_view = boost::json::string_view;

    static constexpr std::size_t max_object_size = boost::json::object::max_size();
    static constexpr std::size_t max_array_size = boost::json::array::max_size();
    static constexpr std::size_t max_key_size = boost::json::string::max_size();
    static constexpr std::size_t max_string_size = boost::json::string::max_size();

    /// `shape`: nothing is built, so that it takes no memory, and a member `expires_at` of the document is the row's.
    enum class reads { all, shape };

    /// `may_be_in_rows`: a document may say so (codec::history_in_rows), and then has no messages.
    enum class histories { in_document, may_be_in_rows };

    explicit document_reader(reads what = reads::all, histories where = histories::in_document)
        : builds_(what == reads::all), where_(where), stack_({}, buffer_, sizeof buffer_) {}
    document_reader(const document_reader&) = delete;
    document_reader& operator=(const document_reader&) = delete;

    /// What was read; its keys, version and times are left to the columns.
    agent_state& state() noexcept { return state_; }

    /// Of `reads::shape`.
    detail::row_members& row() noexcept { return row_; }

    bool history_is_in_rows() const noexcept { return in_rows_; }

    /// What is wrong, naming the place but not the contents; empty where the text is no JSON at all.
    const std::string& refusal() const noexcept { return refusal_; }

    bool on_document_begin(error_code&) { return true; }
    bool on_document_end(error_code&) { return true; }
    bool on_object_begin(error_code& ec) { return begin(container::object, ec); }
    bool on_object_end(std::size_t count, error_code& ec);
    bool on_array_begin(error_code& ec) { return begin(container::array, ec); }
    bool on_array_end(std::size_t count, error_code& ec);
    bool on_key_part(string_view part, std::size_t, error_code& ec);
    bool on_key(string_view part, std::size_t, error_code& ec);
    bool on_string_part(string_view part, std::size_t n, error_code& ec) {
        return skips_text() || on_key_part(part, n, ec);
    }
    bool on_string(string_view part, std::size_t bytes, error_code& ec);
    bool on_number_part(string_view part, error_code& ec);
    bool on_int64(std::int64_t value, string_view part, error_code& ec);
    bool on_uint64(std::uint64_t value, string_view part, error_code& ec);
    bool on_double(double rounded, string_view part, error_code& ec);
    bool on_bool(bool value, error_code& ec);
    bool on_null(error_code& ec);
    bool on_comment_part(string_view, error_code&) { return true; }
    bool on_comment(string_view, error_code&) { return true; }

private:
    /// Which container the next event stands in.
    enum class place { outside, document, history, message, free_form };

    /// The member that the next value belongs to, in the order of member_names; `unknown` goes to `extra`.
    enum class member {
        agent_id,
        session_id,
        version,
        data,
        history,
        context,
        created_at,
        updated_at,
        role,
        content,
        timestamp,
        metadata,
        id,
        unknown,
    };

    enum class container { object, array };

    bool begin(container kind, error_code& ec);
    template <class Push>
    void build(Push push) {
        if (builds_) push();
    }
    bool is_expiry() const noexcept;
    bool skips_text() const noexcept;
    void end_container();
    void take_free_form();
    template <class Push>
    bool scalar(const char* kind, error_code& ec, Push push);
    bool text(std::string_view value, error_code& ec);
    void clear_member();
    void leave_id_to_extra();
    void name_member(std::string_view name);
    std::string where() const;
    bool refuse(std::string_view reason, error_code& ec);

    const bool builds_;
    const histories where_;
    bool in_rows_ = false;
    agent_state state_;
    detail::row_members row_;  ///< of reads::shape
    std::size_t messages_ = 0; ///< that were begun
    std::string refusal_;

    place place_ = place::outside;
    place around_ = place::outside; ///< where free-form JSON stands
    std::size_t depth_ = 0;         ///< open containers of free-form JSON
    member member_ = member::unknown;
    std::string name_;    ///< of the unknown member, or a part of a name
    std::string partial_; ///< what came so far of a string or a number that comes in parts

    unsigned char buffer_[4096];
    boost::json::value_stack stack_;
};

} // namespace pgstate::codec
