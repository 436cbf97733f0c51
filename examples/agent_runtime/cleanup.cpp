#include "cleanup.hpp"

#include "transcripts.hpp"
#include "workers.hpp"

#include <atomic>
#include <string>

namespace demo {

boost::asio::awaitable<std::size_t> erase_sessions(pgstate::state_store& store, unsigned agents) {
    std::vector<unsigned> numbers(agents);
    for (unsigned i = 0; i < agents; ++i)
        numbers[i] = i;
    std::atomic<std::size_t> erased = 0;
    co_await for_each_item(numbers, [&](unsigned number) -> boost::asio::awaitable<void> {
        const std::string agent = session_id{number, 0}.agent_key();
        std::string cursor;
        do {
            const pgstate::list_options options(1000, cursor);
            const pgstate::session_page page = co_await store.list(agent, options);
            for (const auto& session : page)
                if (co_await store.erase(agent, session.session_id)) ++erased;
            cursor = page.next;
        } while (!cursor.empty());
    });
    co_return erased.load();
}

} // namespace demo
