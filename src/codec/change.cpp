#include "codec/change.hpp"

#include "codec/codec.hpp"
#include "codec/json_number.hpp"
#include "detail/utf8.hpp"
#include "pgstate/error.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <boost/unordered/unordered_flat_set.hpp>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>
#include <variant>

namespace pgstate::codec {
namespace {

[[noreturn]] void refuse_change(std::string_view operation, const std::string& why) {
    throw error(errc::invalid_argument, operation, why);
}

[[noreturn]] void refuse_increment(std::string_view reason) {
    refuse_change("increment", std::string("what the pointer names cannot be incremented: ").append(reason));
}

void check_size(std::size_t bytes, std::string_view operation) {
    if (bytes > max_change_bytes)
        refuse_change(operation, "the change is " + std::to_string(bytes) + " bytes of JSON; at most " +
                                     std::to_string(max_change_bytes) + " go into one, so send it in parts");
}

void check_names(const std::vector<std::string>& removed, const boost::json::object& set,
                 std::string_view place) {
    for (const auto& name : removed) {
        if (detail::check_text(name) != detail::text_fault::none)
            refuse_change("merge", std::string(place).append(
                                       " holds a name with NUL or invalid UTF-8, which no member can have"));
        if (set.contains(name))
            refuse_change("merge", std::string(place).append(
                                       " names a member that the patch also sets; do one of the two"));
    }
}

/// The steps of a JSON pointer (RFC 6901, section 4).
std::vector<std::string> steps_of(std::string_view pointer) {
    const bool in_data = pointer.starts_with("/data/");
    if (!in_data && !pointer.starts_with("/context/"))
        refuse_change("increment", "pointer must begin with /data/ or /context/");
    if (detail::check_text(pointer) != detail::text_fault::none)
        refuse_change("increment", "pointer holds a NUL character or is not valid UTF-8");
    std::vector<std::string> steps;
    for (std::size_t i = 0; i < pointer.size(); ++i) {
        if (pointer[i] == '/') {
            steps.emplace_back();
        } else if (pointer[i] != '~') {
            steps.back() += pointer[i];
        } else {
            const char code = i + 1 < pointer.size() ? pointer[++i] : '\0';
            if (code != '0' && code != '1')
                refuse_change("increment", "pointer has a ~ at position " + std::to_string(i) +
                                               " that is neither ~0 nor ~1 (RFC 6901)");
            steps.back() += code == '0' ? '~' : '/';
        }
    }
    if (steps.size() >= max_depth) refuse_change("increment", "pointer is deeper than a document can be");
    return steps;
}

std::string text_of(const std::variant<std::int64_t, double>& by) {
    if (const auto* integer = std::get_if<std::int64_t>(&by)) return std::to_string(*integer);
    const double value = std::get<double>(by);
    if (!std::isfinite(value)) refuse_change("increment", "the number to add is a NaN or an infinity");
    std::string text;
    append_double(text, value);
    return text;
}

boost::json::object& root_of(agent_state& state, std::string_view step) {
    return step == "data" ? state.data : state.context;
}

void merge_into(boost::json::object& members, const std::vector<std::string>& removed,
                const boost::json::object& set) {
    for (const auto& name : removed)
        members.erase(name);
    for (const auto& [name, value] : set)
        members.insert_or_assign(name, value);
}

bool any_has_id(const std::vector<agent_message>& messages) {
    return std::ranges::any_of(messages, [](const auto& each) { return !each.id.empty(); });
}

/// Adds those messages whose ids are not in `history` yet. False: there were messages, and all of them are there already.
bool add_once(const std::vector<agent_message>& messages, std::vector<agent_message>& history) {
    history.reserve(history.size() + messages.size()); // the ids stay where they are
    boost::unordered_flat_set<std::string_view> ids;
    if (any_has_id(messages))
        for (const auto& each : history)
            ids.insert(each.id);
    ids.erase(std::string_view());
    const auto before = history.size();
    for (const auto& each : messages) {
        if (!each.id.empty() && ids.contains(each.id)) continue;
        history.push_back(each);
        if (!each.id.empty()) ids.insert(history.back().id);
    }
    return history.size() != before || messages.empty();
}

__extension__ using wide = __int128; ///< holds any sum of two 64-bit integers

/// Two integers are added exactly, and all else as doubles, as by postgres/operations/change.cpp.
boost::json::value sum_of(const boost::json::value& number, const std::variant<std::int64_t, double>& by) {
    const auto* const integer = std::get_if<std::int64_t>(&by);
    if (!integer || number.is_double()) {
        const double more = integer ? static_cast<double>(*integer) : std::get<double>(by);
        const double sum = number.to_number<double>() + more;
        if (!std::isfinite(sum)) refuse_increment("the sum would not fit into a double");
        return sum;
    }
    wide sum = number.is_uint64() ? wide{number.get_uint64()} : wide{number.get_int64()};
    sum += *integer;
    if (sum < std::numeric_limits<std::int64_t>::min() || sum > std::numeric_limits<std::uint64_t>::max())
        refuse_increment("the sum would not fit into 64 bits");
    if (sum > std::numeric_limits<std::int64_t>::max()) return static_cast<std::uint64_t>(sum);
    return static_cast<std::int64_t>(sum);
}

/// Null where there is none.
boost::json::value* member_of(boost::json::value& around, const std::string& step) {
    if (auto* object = around.if_object()) return object->if_contains(step);
    auto* const elements = around.if_array();
    if (!elements) return nullptr;
    if (step.size() > 1 && step.front() == '0') return nullptr; // no index (RFC 6901, section 4)
    std::size_t at = 0;
    const char* end = step.data() + step.size();
    const auto [stopped, failure] = std::from_chars(step.data(), end, at);
    return failure == std::errc() && stopped == end && at < elements->size() ? &(*elements)[at] : nullptr;
}

void add_to(boost::json::object& root, const std::vector<std::string>& steps,
            const std::variant<std::int64_t, double>& by) {
    const auto add_in = [&](boost::json::value& number) {
        if (!number.is_number()) refuse_increment("the value is not a number");
        number = sum_of(number, by);
    };
    if (steps.size() == 2) return add_in(root.emplace(steps.back(), 0).first->value());

    auto* around = root.if_contains(steps[1]);
    for (std::size_t i = 2; around && i + 1 < steps.size(); ++i)
        around = member_of(*around, steps[i]);
    if (around) {
        if (auto* const number = member_of(*around, steps.back())) return add_in(*number);
        if (auto* const object = around->if_object())
            return add_in(object->emplace(steps.back(), 0).first->value());
    }
    refuse_increment("an object or an array element on the way to it is missing");
}

} // namespace

error conflict(std::string_view operation, std::int64_t wanted, std::int64_t current) {
    const auto now = current == 0 ? std::string("it does not exist any more")
                                  : "it is at version " + std::to_string(current);
    error failure(errc::conflict, operation,
                  wanted == 0 ? "the state was to be new, but " + now + "; load it and decide again"
                              : "the state was to be at version " + std::to_string(wanted) + ", but " + now +
                                    "; load it again and retry");
    return failure.with_current_version(current);
}

error no_checkpoint(std::string_view operation, std::int64_t version) {
    return {errc::not_found, operation,
            "the state has no checkpoint of version " + std::to_string(version) +
                ", or it was pruned; `checkpoints` lists those that it has"};
}

error not_found(std::string_view operation) {
    std::string message = "there is no such state, or it has expired; save it first";
    if (operation == "append" || operation == "merge" || operation == "increment")
        message += ", or have the change create it";
    return {errc::not_found, operation, message};
}

telemetry::operation_id operation_of(const detail::state_change& change) noexcept {
    constexpr telemetry::operation_id ids[] = {
        telemetry::operation_id::append, telemetry::operation_id::merge, telemetry::operation_id::increment};
    return ids[change.index()];
}

encoded_change encode_change(const detail::state_change& change, std::string_view agent_id,
                             std::string_view session_id, bool create) {
    const auto operation = telemetry::name_of(operation_of(change));
    encoded_change made;
    auto& parameters = made.parameters;
    if (const auto* messages = std::get_if<std::vector<agent_message>>(&change)) {
        std::vector<agent_message> once;
        if (any_has_id(*messages)) {
            made.form = change_form::append_once;
            add_once(*messages, once);
            if (std::ranges::none_of(once, [](const auto& each) { return each.id.empty(); }))
                for (const auto& each : once)
                    made.ids.push_back(each.id);
            messages = &once;
        }
        auto encoded = encode_messages(*messages, operation);
        check_size(encoded.text.size(), operation);
        made.messages = std::move(encoded.history);
        parameters = {json_text{std::move(encoded.text)}};
    } else if (const auto* patch = std::get_if<state_patch>(&change)) {
        made.form = change_form::merge;
        check_names(patch->remove_data, patch->data, "remove_data");
        check_names(patch->remove_context, patch->context, "remove_context");
        json_text data{encode_members(patch->data, "data", operation)};
        json_text context{encode_members(patch->context, "context", operation)};
        check_size(data.text.size() + context.text.size(), operation);
        parameters = {std::move(data), patch->remove_data, std::move(context), patch->remove_context};
    } else {
        const auto& increment = std::get<detail::increment>(change);
        made.form = change_form::increment;
        parameters = {text_of(increment.by), steps_of(increment.pointer)};
        made.increment = increment;
    }
    made.create = create;
    if (create) {
        auto encoded = encode_placed(made_by(change, agent_id, session_id), operation);
        made.created_history = std::move(encoded.history);
        parameters.emplace_back(json_text{std::move(encoded.text)});
    }
    return made;
}

agent_state made_by(const detail::state_change& change, std::string_view agent_id,
                    std::string_view session_id) {
    agent_state state{std::string(agent_id), std::string(session_id)};
    if (const auto* increment = std::get_if<detail::increment>(&change)) {
        const auto steps = steps_of(increment->pointer);
        auto* around = &root_of(state, steps.front());
        for (std::size_t i = 1; i + 1 < steps.size(); ++i)
            around = &around->emplace(steps[i], boost::json::object()).first->value().get_object();
    }
    apply(change, state);
    return state;
}

bool apply(const detail::state_change& change, agent_state& state) {
    if (const auto* messages = std::get_if<std::vector<agent_message>>(&change))
        return add_once(*messages, state.history);
    if (const auto* patch = std::get_if<state_patch>(&change)) {
        merge_into(state.data, patch->remove_data, patch->data);
        merge_into(state.context, patch->remove_context, patch->context);
    } else {
        const auto& increment = std::get<detail::increment>(change);
        const auto steps = steps_of(increment.pointer);
        add_to(root_of(state, steps.front()), steps, increment.by);
    }
    return true;
}

} // namespace pgstate::codec
