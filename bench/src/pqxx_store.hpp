#ifndef PGSTATE_BENCH_PQXX_STORE_HPP
#define PGSTATE_BENCH_PQXX_STORE_HPP

#include "blocking_store.hpp"
#include "engine.hpp"

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace bench {

/// The operations of the store over blocking connections, with a thread for each: a job takes any connection that is
/// free, of which there is always one.
class pqxx_store {
public:
    pqxx_store(engine::executor_type completions, const std::string& url, const std::string& table,
               std::size_t connections)
        : completions_(completions), threads_(connections) {
        for (std::size_t i = 0; i < connections; ++i)
            free_.push_back(&all_.emplace_back(url, table));
    }

    template <class Token>
    auto load(std::string agent_id, std::string session_id, Token&& token) {
        return start<std::optional<pgstate::agent_state>>(
            [agent = std::move(agent_id), session = std::move(session_id)](blocking_store& on) {
                return on.load(agent, session);
            },
            std::forward<Token>(token));
    }

    template <class Token>
    auto save(pgstate::agent_state state, pgstate::save_options options, Token&& token) {
        return start<pgstate::saved>(
            [state = std::move(state), options](blocking_store& on) { return on.save(state, options); },
            std::forward<Token>(token));
    }
    template <class Token>
    auto save(pgstate::agent_state state, Token&& token) {
        return save(std::move(state), pgstate::save_options{}, std::forward<Token>(token));
    }

    template <class Token>
    auto erase(std::string agent_id, std::string session_id, Token&& token) {
        return start<bool>([agent = std::move(agent_id), session = std::move(session_id)](
                               blocking_store& on) { return on.erase(agent, session); },
                           std::forward<Token>(token));
    }

    template <class Token>
    auto list(std::string agent_id, Token&& token) {
        return start<pgstate::session_page>(
            [agent = std::move(agent_id)](blocking_store& on) { return on.list(agent); },
            std::forward<Token>(token));
    }

    /// Calls `function` with every connection; no operation may be under way.
    template <class Function>
    void for_each_connection(Function function) {
        for (auto& each : all_)
            function(each.connection());
    }
    std::size_t connections() const noexcept { return all_.size(); }
    void close() { threads_.join(); }

private:
    class lease {
    public:
        explicit lease(pqxx_store& from) : from_(from), store_(from.take()) {}
        lease(const lease&) = delete;
        lease& operator=(const lease&) = delete;
        ~lease() { from_.give_back(store_); }

        blocking_store& operator*() const noexcept { return *store_; }

    private:
        pqxx_store& from_;
        blocking_store* store_;
    };

    template <class Value, class Work, class Token>
    auto start(Work work, Token&& token) {
        return boost::asio::async_initiate<Token, void(std::exception_ptr, Value)>(
            [](auto handler, pqxx_store* self, Work job) {
                boost::asio::post(self->threads_, [self, job = std::move(job),
                                                   handler = std::move(handler)]() mutable {
                    std::exception_ptr failure;
                    Value value{};
                    try {
                        const lease connection(*self);
                        value = job(*connection);
                    } catch (...) {
                        failure = std::current_exception();
                    }
                    const auto executor = boost::asio::get_associated_executor(handler, self->completions_);
                    boost::asio::dispatch(executor,
                                          [handler = std::move(handler), failure = std::move(failure),
                                           value = std::move(value)]() mutable {
                                              std::move(handler)(std::move(failure), std::move(value));
                                          });
                });
            },
            token, this, std::move(work));
    }

    blocking_store* take() {
        const std::lock_guard lock(mutex_);
        auto* taken = free_.back();
        free_.pop_back();
        return taken;
    }
    void give_back(blocking_store* store) {
        const std::lock_guard lock(mutex_);
        free_.push_back(store);
    }

    engine::executor_type completions_;
    std::deque<blocking_store> all_;
    std::mutex mutex_;
    std::vector<blocking_store*> free_;
    boost::asio::thread_pool threads_;
};

} // namespace bench

#endif
