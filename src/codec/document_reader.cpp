#include "codec/document_reader.hpp"

#include "codec/codec.hpp"
#include "codec/json_number.hpp"
#include "pgstate/rfc3339.hpp"

#include <algorithm>
#include <utility>

namespace pgstate::codec {

bool document_reader::begin(container kind, error_code& ec) {
    switch (place_) {
    case place::free_form: ++depth_; return true;
    case place::outside:
        if (kind != container::object) return refuse("is no JSON object", ec);
        place_ = place::document;
        return true;
    case place::history:
        if (kind != container::object) return refuse("is no JSON object", ec);
        if (builds_ || state_.history.empty()) state_.history.emplace_back();
        ++messages_;
        place_ = place::message;
        return true;
    case place::document:
        if (member_ == member::history) {
            if (kind != container::array) return refuse("is no JSON array", ec);
            state_.history.clear();
            messages_ = 0;
            in_rows_ = false;
            place_ = place::history;
            return true;
        }
        break;
    case place::message:
        if (member_ == member::id) leave_id_to_extra();
        break;
    }
    const bool free_form = member_ == member::unknown || member_ == member::data ||
                           member_ == member::context || member_ == member::metadata;
    if (!free_form) return refuse(kind == container::object ? "is an object" : "is an array", ec);
    if (kind == container::array && member_ != member::unknown) return refuse("is no JSON object", ec);
    if (is_expiry()) return refuse("is no text", ec);
    stack_.reset();
    around_ = std::exchange(place_, place::free_form);
    depth_ = 1;
    return true;
}

bool document_reader::on_object_end(std::size_t count, error_code&) {
    if (place_ == place::free_form) {
        build([&] { stack_.push_object(count); });
        end_container();
    } else {
        place_ = place_ == place::message ? place::history : place::outside;
    }
    return true;
}

bool document_reader::on_array_end(std::size_t count, error_code&) {
    if (place_ == place::history) {
        place_ = place::document;
    } else {
        build([&] { stack_.push_array(count); });
        end_container();
    }
    return true;
}

bool document_reader::is_expiry() const noexcept {
    return !builds_ && place_ == place::document && member_ == member::unknown && name_ == "expires_at";
}

/// Of what matters only that it is a text.
bool document_reader::skips_text() const noexcept {
    const bool any = member_ == member::unknown || member_ == member::role || member_ == member::content;
    return !builds_ && !is_expiry() && (place_ == place::free_form || any);
}

/// Of free-form JSON.
void document_reader::end_container() {
    if (--depth_ != 0) return;
    place_ = around_;
    take_free_form();
}

bool document_reader::on_key_part(string_view part, std::size_t, error_code&) {
    if (place_ == place::free_form)
        build([&] { stack_.push_chars(part); });
    else
        partial_.append(part.data(), part.size());
    return true;
}

bool document_reader::on_key(string_view part, std::size_t, error_code&) {
    if (place_ == place::free_form) {
        build([&] { stack_.push_key(part); });
    } else if (partial_.empty()) {
        name_member({part.data(), part.size()});
    } else {
        partial_.append(part.data(), part.size());
        name_member(partial_);
        partial_.clear();
    }
    return true;
}

bool document_reader::on_string(string_view part, std::size_t bytes, error_code& ec) {
    if (bytes > max_string_bytes) // no document that was stored
        return refuse("holds a string of " + std::to_string(bytes) + " bytes; jsonb holds at most " +
                          std::to_string(max_string_bytes),
                      ec);
    if (place_ == place::free_form) {
        build([&] { stack_.push_string(part); });
        return true;
    }
    if (partial_.empty()) return text({part.data(), part.size()}, ec);
    partial_.append(part.data(), part.size());
    const bool accepted = text(partial_, ec);
    partial_.clear();
    return accepted;
}

bool document_reader::on_number_part(string_view part, error_code&) {
    partial_.append(part.data(), part.size());
    return true;
}

bool document_reader::on_int64(std::int64_t value, string_view, error_code& ec) {
    partial_.clear();
    return scalar("a number", ec, [&] { stack_.push_int64(value); });
}

bool document_reader::on_uint64(std::uint64_t value, string_view, error_code& ec) {
    partial_.clear();
    return scalar("a number", ec, [&] { stack_.push_uint64(value); });
}

bool document_reader::on_double(double, string_view part, error_code& ec) {
    // The parser's own value can be off by a rounding error: the text decides.
    if (!partial_.empty()) part = partial_.append(part.data(), part.size());
    const auto value = read_double({part.data(), part.size()});
    partial_.clear();
    if (!value) return refuse("holds a number that neither a 64-bit integer nor a double can hold", ec);
    if (place_ == place::document && member_ == member::version) return refuse("is no 64-bit integer", ec);
    return scalar("a number", ec, [&] { stack_.push_double(*value); });
}

bool document_reader::on_bool(bool value, error_code& ec) {
    return scalar("a boolean", ec, [&] { stack_.push_bool(value); });
}

bool document_reader::on_null(error_code& ec) {
    const bool known = (place_ == place::document || place_ == place::message) && member_ != member::unknown;
    if (!known) return scalar("null", ec, [&] { stack_.push_null(); });
    clear_member();
    return true;
}

/// A value that is neither a container nor a string.
template <class Push>
bool document_reader::scalar(const char* kind, error_code& ec, Push push) {
    if (place_ == place::free_form) {
        build(push);
        return true;
    }
    const bool member_of_object = place_ == place::document || place_ == place::message;
    if (place_ == place::message && member_ == member::id) leave_id_to_extra();
    if (is_expiry()) {
        if (std::string_view(kind) != "null") return refuse(std::string("is ") + kind, ec);
        row_.expires_at.reset();
    }
    if (member_of_object && member_ == member::unknown) {
        stack_.reset();
        build(push);
        take_free_form();
        return true;
    }
    if (place_ == place::document && member_ == member::version && std::string_view(kind) == "a number")
        return true; // the column wins
    return refuse(std::string("is ") + kind, ec);
}

/// A whole string outside free-form JSON.
bool document_reader::text(std::string_view value, error_code& ec) {
    if (place_ != place::document && place_ != place::message) return refuse("is a string", ec);
    switch (member_) {
    case member::id:
        if (is_message_id(value)) {
            auto& message = state_.history.back();
            message.extra.erase(name_of_id);
            build([&] { message.id = value; });
            return true;
        }
        leave_id_to_extra();
        [[fallthrough]];
    case member::unknown:
        if (is_expiry() && !(row_.expires_at = from_rfc3339(value))) return refuse("is no RFC 3339 time", ec);
        stack_.reset();
        build([&] { stack_.push_string(value); });
        take_free_form();
        return true;
    case member::agent_id:
    case member::session_id: // the columns win
        if (!builds_) (member_ == member::agent_id ? row_.agent_id : row_.session_id) = value;
        return true;
    case member::role:
    case member::content: {
        auto& message = state_.history.back();
        build([&] { (member_ == member::role ? message.role : message.content) = value; });
        return true;
    }
    case member::created_at:
    case member::updated_at:
    case member::timestamp: {
        const auto when = from_rfc3339(value);
        if (!when) return refuse("is no RFC 3339 time", ec);
        if (member_ == member::timestamp)
            state_.history.back().timestamp = *when;
        else if (!builds_) // the columns win
            (member_ == member::created_at ? row_.created_at : row_.updated_at) = when;
        return true;
    }
    case member::history:
        if (value != history_in_rows) break;
        if (where_ == histories::in_document)
            return refuse("is in rows of another table; use the table with schema.history = rows", ec);
        state_.history.clear();
        in_rows_ = true;
        return true;
    default: break;
    }
    return refuse("is a string", ec);
}

void document_reader::take_free_form() {
    if (!builds_) return;
    boost::json::value value = stack_.release();
    switch (member_) {
    case member::data: state_.data = std::move(value.as_object()); break;
    case member::context: state_.context = std::move(value.as_object()); break;
    case member::metadata: state_.history.back().metadata = std::move(value.as_object()); break;
    default:
        auto& extra = place_ == place::message ? state_.history.back().extra : state_.extra;
        extra.insert_or_assign(name_, std::move(value));
    }
}

/// Null stands for the default. A repeated member's last value counts, so what came before has to go.
void document_reader::clear_member() {
    switch (member_) {
    case member::agent_id: row_.agent_id.clear(); break;
    case member::session_id: row_.session_id.clear(); break;
    case member::created_at: row_.created_at.reset(); break;
    case member::updated_at: row_.updated_at.reset(); break;
    case member::data: state_.data.clear(); break;
    case member::context: state_.context.clear(); break;
    case member::history: state_.history.clear(); break;
    case member::role: state_.history.back().role.clear(); break;
    case member::content: state_.history.back().content.clear(); break;
    case member::timestamp: state_.history.back().timestamp = {}; break;
    case member::metadata: state_.history.back().metadata.clear(); break;
    case member::id:
        state_.history.back().id.clear();
        state_.history.back().extra.erase(name_of_id);
        break;
    default: break;
    }
}

/// Other writers may store something under `id` that is no valid message id.
void document_reader::leave_id_to_extra() {
    state_.history.back().id.clear();
    member_ = member::unknown;
    name_ = name_of_id;
}

void document_reader::name_member(std::string_view name) {
    const auto known = place_ == place::message ? message_members : document_members;
    const auto found = std::ranges::find(known, name);
    member_ = found == known.end() ? member::unknown : static_cast<member>(&*found - member_names.data());
    if (member_ == member::unknown) name_ = name;
}

std::string document_reader::where() const {
    const place at = place_ == place::free_form ? around_ : place_;
    if (at == place::outside) return "the document";
    if (at == place::history) return "history[" + std::to_string(messages_) + "]";
    std::string path;
    if (at == place::message) path = "history[" + std::to_string(messages_ - 1) + "].";
    return path.append(is_expiry()                  ? "expires_at"
                       : member_ == member::unknown ? "extra"
                                                    : member_names[static_cast<std::size_t>(member_)]);
}

bool document_reader::refuse(std::string_view reason, error_code& ec) {
    refusal_ = where().append(" ").append(reason);
    ec = boost::json::make_error_code(boost::json::error::syntax); // any code stops the parser
    return false;
}

} // namespace pgstate::codec
