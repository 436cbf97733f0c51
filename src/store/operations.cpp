#include "store/operations.hpp"

#include "store/codec.hpp"
#include "store/statements.hpp"

namespace pgstate::store {
namespace {

template <class Operation>
boost::intrusive_ptr<Operation> self(Operation* what) {
    return boost::intrusive_ptr<Operation>(what);
}

} // namespace

error conflict(std::int64_t wanted, std::int64_t current) {
    const auto now = current == 0 ? std::string("it does not exist any more")
                                  : "it is at version " + std::to_string(current);
    error failure(errc::conflict, "save",
                  wanted == 0 ? "the state was to be new, but " + now + "; load it and decide again"
                              : "the state was to be at version " + std::to_string(wanted) + ", but " + now +
                                    "; load it again and retry");
    return failure.with_current_version(current);
}

save_operation::save_operation(detail::encoded_state state, bool if_unchanged, handler_type handler,
                               boost::asio::any_io_executor executor)
    : caller_operation(std::move(handler), std::move(executor)), state_(std::move(state)) {
    name = "save";
    what = !if_unchanged         ? batch::kind::save
           : state_.version == 0 ? batch::kind::create
                                 : batch::kind::replace;
    agent_id = state_.agent_id;
    session_id = state_.session_id;
    bytes = state_.agent_id.size() + state_.session_id.size() + state_.document.size();
}

void save_operation::succeed(const wire::rows& rows, int row) {
    if (what == batch::kind::probe)
        return answer([rows, row, wanted = state_.version]() -> saved {
            throw conflict(wanted, row < 0 ? 0 : rows.int8(row, probed_row::version));
        });
    answer([rows, row] {
        if (row < 0) throw error(errc::corrupt_state, "save", "the server did not say what it saved");
        return saved{rows.int8(row, saved_row::version), rows.timestamptz(row, saved_row::created_at),
                     rows.timestamptz(row, saved_row::updated_at)};
    });
}

load_operation::load_operation(std::string agent, std::string session, handler_type handler,
                               boost::asio::any_io_executor executor)
    : caller_operation(std::move(handler), std::move(executor)), agent_(std::move(agent)),
      session_(std::move(session)) {
    name = "load";
    what = batch::kind::load;
    agent_id = agent_;
    session_id = session_;
    bytes = agent_.size() + session_.size();
}

void load_operation::succeed(const wire::rows& rows, int row) {
    if (row < 0) return answer([] { return std::optional<agent_state>(); });
    answer([self = self(this), rows, row]() -> std::optional<agent_state> {
        return decode(self->agent_, self->session_, rows.jsonb(row, loaded_row::state),
                      rows.int8(row, loaded_row::version), rows.timestamptz(row, loaded_row::created_at),
                      rows.timestamptz(row, loaded_row::updated_at));
    });
}

erase_operation::erase_operation(std::string agent, std::string session, handler_type handler,
                                 boost::asio::any_io_executor executor)
    : caller_operation(std::move(handler), std::move(executor)), agent_(std::move(agent)),
      session_(std::move(session)) {
    name = "erase";
    what = batch::kind::erase;
    agent_id = agent_;
    session_id = session_;
    bytes = agent_.size() + session_.size();
}

void erase_operation::succeed(const wire::rows&, int row) {
    answer([erased = row >= 0] { return erased; });
}

list_operation::list_operation(std::string agent, std::size_t limit, std::optional<list_position> after,
                               handler_type handler, boost::asio::any_io_executor executor)
    : caller_operation(std::move(handler), std::move(executor)), agent_(std::move(agent)), limit_(limit),
      after_(std::move(after)) {
    name = "list";
    what = batch::kind::list;
    agent_id = agent_;
    bytes = agent_.size();
}

void list_operation::succeed(const wire::rows& rows, int) {
    answer([self = self(this), rows] {
        session_page page;
        // One more than asked for was fetched, to know whether there is a next page.
        const auto there = static_cast<std::size_t>(rows.size());
        const auto shown = std::min(there, self->limit_);
        page.sessions.reserve(shown);
        for (std::size_t i = 0; i < shown; ++i) {
            const int row = static_cast<int>(i);
            page.sessions.push_back({std::string(rows.text(row, listed_row::session_id)),
                                     rows.int8(row, listed_row::version),
                                     rows.timestamptz(row, listed_row::created_at),
                                     rows.timestamptz(row, listed_row::updated_at)});
        }
        if (there > shown)
            page.next = encode_cursor(query_kind::list, self->agent_,
                                      {page.sessions.back().updated_at, page.sessions.back().session_id});
        return page;
    });
}

count_operation::count_operation(std::optional<std::string> agent, handler_type handler,
                                 boost::asio::any_io_executor executor)
    : caller_operation(std::move(handler), std::move(executor)), agent_(std::move(agent)) {
    name = "count";
    what = agent_ ? batch::kind::count_agent : batch::kind::count_all;
    if (agent_) agent_id = *agent_;
}

void count_operation::succeed(const wire::rows& rows, int) {
    answer([rows] { return rows.int8(0, 0); });
}

health_operation::health_operation(std::shared_ptr<pool::core> pool, handler_type handler)
    : caller_operation(std::move(handler), pool->executor()), pool_(std::move(pool)) {
    name = "health_check";
    what = batch::kind::health;
}

void health_operation::succeed(const wire::rows& rows, int) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(batch::clock::now() - started_);
    answer([self = self(this), rows, took] {
        return health_report{took, static_cast<int>(rows.int8(0, health_row::server_version)),
                             rows.boolean(0, health_row::read_only), self->pool_->stats()};
    });
}

} // namespace pgstate::store
