#include "codec/history.hpp"
#include "codec/validate.hpp"
#include "compose/composed.hpp"

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

namespace pgstate {
namespace compose {
namespace {

constexpr std::string_view messages_name = "messages";

history_window window_of(const messages_options& options) {
    if (options.before) return history_window::before(*options.before, options.limit);
    if (!options.from) return history_window::last(options.limit);
    const auto room = std::numeric_limits<std::uint64_t>::max() - *options.from;
    return codec::between(*options.from, *options.from + std::min<std::uint64_t>(options.limit, room));
}

message_page page_of(agent_state state) {
    message_page page;
    page.total = codec::stored_messages(state);
    page.first = state.history_offset;
    page.messages = std::move(state.history);
    if (page.first != 0) page.previous = page.first;
    if (const auto next = page.first + page.size(); next != page.total) page.next = next;
    return page;
}

} // namespace
} // namespace compose

void state_store::start_messages(state_key key, messages_options options,
                                 completion<std::optional<message_page>> handler) {
    const auto io = compose::access::refer(*this).executor;
    try {
        codec::validate_key(key.agent_id, key.session_id, compose::messages_name);
        codec::validate_messages(options);
    } catch (const error& e) {
        return compose::complete_at_once<std::optional<message_page>>(io, std::move(handler), e);
    }
    load_options loading;
    loading.history = compose::window_of(options);
    loading.timeout = options.timeout;
    loading.parent = options.parent;
    const boost::asio::any_completion_executor where =
        boost::asio::get_associated_executor(handler, boost::asio::any_completion_executor(io));
    const auto slot = boost::asio::get_associated_cancellation_slot(handler);
    auto finish = [handler = std::move(handler)](result<std::optional<agent_state>> outcome) mutable {
        if (!outcome)
            return std::move(handler)(compose::as_failure_of(compose::messages_name, outcome.error()));
        auto state = *std::move(outcome);
        std::move(handler)(state ? std::optional(compose::page_of(*std::move(state))) : std::nullopt);
    };
    compose::access::load(
        *this, std::move(key), loading,
        boost::asio::bind_executor(where, boost::asio::bind_cancellation_slot(slot, std::move(finish))));
}

} // namespace pgstate
