#include "codec/document_reader.hpp"

#include "codec/json_number.hpp"
#include "codec/rfc3339.hpp"

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
        state_.history.emplace_back();
        place_ = place::message;
        return true;
    case place::document:
        if (member_ == member::history) {
            if (kind != container::array) return refuse("is no JSON array", ec);
            state_.history.clear();
            place_ = place::history;
            return true;
        }
        break;
    case place::message: break;
    }
    if (!accepts_free_form()) return refuse(kind == container::object ? "is an object" : "is an array", ec);
    if (kind == container::array && member_ != member::unknown) return refuse("is no JSON object", ec);
    start_free_form();
    around_ = std::exchange(place_, place::free_form);
    depth_ = 1;
    return true;
}

bool document_reader::on_object_begin(error_code& ec) {
    return begin(container::object, ec);
}

bool document_reader::on_array_begin(error_code& ec) {
    return begin(container::array, ec);
}

bool document_reader::on_object_end(std::size_t count, error_code&) {
    switch (place_) {
    case place::free_form:
        stack_.push_object(count);
        if (--depth_ == 0) {
            place_ = around_;
            take_free_form();
        }
        break;
    case place::message: place_ = place::history; break;
    case place::document: place_ = place::outside; break;
    case place::history:
    case place::outside: break;
    }
    return true;
}

bool document_reader::on_array_end(std::size_t count, error_code&) {
    if (place_ == place::history) {
        place_ = place::document;
        return true;
    }
    stack_.push_array(count);
    if (--depth_ == 0) {
        place_ = around_;
        take_free_form();
    }
    return true;
}

bool document_reader::on_key_part(string_view part, std::size_t, error_code&) {
    if (place_ == place::free_form)
        stack_.push_chars(part);
    else
        partial_.append(part.data(), part.size());
    return true;
}

bool document_reader::on_key(string_view part, std::size_t, error_code&) {
    if (place_ == place::free_form) {
        stack_.push_key(part);
    } else if (partial_.empty()) {
        name_member({part.data(), part.size()});
    } else {
        partial_.append(part.data(), part.size());
        name_member(partial_);
        partial_.clear();
    }
    return true;
}

bool document_reader::on_string_part(string_view part, std::size_t, error_code&) {
    if (place_ == place::free_form)
        stack_.push_chars(part);
    else
        partial_.append(part.data(), part.size());
    return true;
}

bool document_reader::on_string(string_view part, std::size_t, error_code& ec) {
    if (place_ == place::free_form) {
        stack_.push_string(part);
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
    return scalar(
        "a number", [&] { stack_.push_int64(value); }, ec);
}

bool document_reader::on_uint64(std::uint64_t value, string_view, error_code& ec) {
    partial_.clear();
    return scalar(
        "a number", [&] { stack_.push_uint64(value); }, ec);
}

bool document_reader::on_double(double, string_view part, error_code& ec) {
    // The parser's own value can be off by a rounding error: the text decides.
    if (!partial_.empty()) part = partial_.append(part.data(), part.size());
    const auto value = read_double({part.data(), part.size()});
    partial_.clear();
    if (!value) return refuse("holds a number that neither a 64-bit integer nor a double can hold", ec);
    if (place_ == place::document && member_ == member::version) return refuse("is no 64-bit integer", ec);
    return scalar(
        "a number", [&] { stack_.push_double(*value); }, ec);
}

bool document_reader::on_bool(bool value, error_code& ec) {
    return scalar(
        "a boolean", [&] { stack_.push_bool(value); }, ec);
}

bool document_reader::on_null(error_code& ec) {
    const bool known = (place_ == place::document || place_ == place::message) && member_ != member::unknown;
    if (!known)
        return scalar(
            "null", [&] { stack_.push_null(); }, ec);
    clear_member();
    return true;
}

/// A value that is neither a container nor a string.
template <class Push>
bool document_reader::scalar(const char* kind, Push push, error_code& ec) {
    if (place_ == place::free_form) {
        push();
        return true;
    }
    const bool member_of_object = place_ == place::document || place_ == place::message;
    if (member_of_object && member_ == member::unknown) {
        start_free_form();
        push();
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
    case member::unknown:
        start_free_form();
        stack_.push_string(value);
        take_free_form();
        return true;
    case member::agent_id:
    case member::session_id: return true; // the columns win
    case member::created_at:
    case member::updated_at: return from_rfc3339(value) ? true : refuse("is no RFC 3339 time", ec);
    case member::role: state_.history.back().role = value; return true;
    case member::content: state_.history.back().content = value; return true;
    case member::timestamp:
        if (const auto when = from_rfc3339(value)) {
            state_.history.back().timestamp = *when;
            return true;
        }
        return refuse("is no RFC 3339 time", ec);
    case member::version:
    case member::data:
    case member::history:
    case member::context:
    case member::metadata: break;
    }
    return refuse("is a string", ec);
}

bool document_reader::accepts_free_form() const noexcept {
    return member_ == member::unknown || member_ == member::data || member_ == member::context ||
           member_ == member::metadata;
}

void document_reader::take_free_form() {
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
    case member::data: state_.data.clear(); break;
    case member::context: state_.context.clear(); break;
    case member::history: state_.history.clear(); break;
    case member::role: state_.history.back().role.clear(); break;
    case member::content: state_.history.back().content.clear(); break;
    case member::timestamp: state_.history.back().timestamp = {}; break;
    case member::metadata: state_.history.back().metadata.clear(); break;
    default: break;
    }
}

void document_reader::name_member(std::string_view name) {
    member_ = member::unknown;
    if (place_ == place::message) {
        if (name == "role")
            member_ = member::role;
        else if (name == "content")
            member_ = member::content;
        else if (name == "timestamp")
            member_ = member::timestamp;
        else if (name == "metadata")
            member_ = member::metadata;
    } else {
        if (name == "data")
            member_ = member::data;
        else if (name == "history")
            member_ = member::history;
        else if (name == "context")
            member_ = member::context;
        else if (name == "agent_id")
            member_ = member::agent_id;
        else if (name == "session_id")
            member_ = member::session_id;
        else if (name == "version")
            member_ = member::version;
        else if (name == "created_at")
            member_ = member::created_at;
        else if (name == "updated_at")
            member_ = member::updated_at;
    }
    if (member_ == member::unknown) name_ = name;
}

std::string document_reader::where() const {
    const place at = place_ == place::free_form ? around_ : place_;
    if (at == place::outside) return "the document";
    std::string path;
    if (at == place::history) return "history[" + std::to_string(state_.history.size()) + "]";
    if (at == place::message) path = "history[" + std::to_string(state_.history.size() - 1) + "].";
    switch (member_) {
    case member::unknown: return at == place::message ? path + "extra" : "extra";
    case member::agent_id: return "agent_id";
    case member::session_id: return "session_id";
    case member::version: return "version";
    case member::data: return "data";
    case member::history: return "history";
    case member::context: return "context";
    case member::created_at: return "created_at";
    case member::updated_at: return "updated_at";
    case member::role: return path + "role";
    case member::content: return path + "content";
    case member::timestamp: return path + "timestamp";
    case member::metadata: return path + "metadata";
    }
    return path;
}

bool document_reader::refuse(std::string_view reason, error_code& ec) {
    refusal_ = where().append(" ").append(reason);
    ec = boost::json::make_error_code(boost::json::error::syntax); // any code stops the parser
    return false;
}

} // namespace pgstate::codec
