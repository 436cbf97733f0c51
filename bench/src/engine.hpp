#ifndef PGSTATE_BENCH_ENGINE_HPP
#define PGSTATE_BENCH_ENGINE_HPP

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <thread>
#include <vector>

namespace bench {

/// The threads that run the callers, and the executor that they belong to.
class engine {
public:
    using executor_type = boost::asio::io_context::executor_type;

    explicit engine(unsigned threads);
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;
    ~engine();

    executor_type executor() noexcept { return io_.get_executor(); }
    unsigned size() const noexcept { return static_cast<unsigned>(threads_.size()); }

    /// Which of an engine's threads this is, from 0.
    static unsigned this_thread() noexcept;

private:
    boost::asio::io_context io_;
    boost::asio::executor_work_guard<executor_type> open_;
    std::vector<std::jthread> threads_;
};

} // namespace bench

#endif
