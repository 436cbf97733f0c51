#pragma once

#include "pgstate/agent_state.hpp"
#include "pgstate/tracer.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace pgstate {

/// Of state_store::messages: which page, and how many messages.
struct messages_options {
    /// Messages on a page, 1 to max_limit.
    std::size_t limit = 100;
    /// The number of the first message on the page: `message_page::next` of the page before. Not together with `before`.
    std::optional<std::uint64_t> from{};
    /// The number of the message that follows the page: `message_page::previous` of the later page. Not together with `from`.
    /// With neither of the two, the page ends with the last message.
    std::optional<std::uint64_t> before{};
    std::chrono::milliseconds timeout{0}; ///< as in call_options
    span_context parent{};                ///< as in call_options

    static constexpr std::size_t max_limit = 10'000; ///< the largest page
};

/// A page of a state's history, oldest first. Messages are numbered from 0.
struct message_page {
    std::vector<agent_message> messages; ///< at most messages_options::limit
    std::uint64_t first = 0;             ///< the number of messages[0], or where it would be
    std::uint64_t total = 0;             ///< messages of the history
    /// Give it to `messages_options::from` for the page that follows; nothing at the end. Messages that are added
    /// later begin at number `total`.
    std::optional<std::uint64_t> next{};
    /// Give it to `messages_options::before` for the page before; nothing at the beginning.
    std::optional<std::uint64_t> previous{};

    auto begin() const noexcept { return messages.begin(); }
    auto end() const noexcept { return messages.end(); }
    std::size_t size() const noexcept { return messages.size(); }
    bool empty() const noexcept { return messages.empty(); }
};

} // namespace pgstate
