#include "batch/delivery.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace {

using pgstate::batch::delivery;
using pgstate::batch::operation;
using pgstate::batch::operation_ptr;

class noted final : public operation {
public:
    noted(std::vector<int>& into, int number, std::function<void()> then = {})
        : order_(into), number_(number), then_(std::move(then)) {
        on_store_executor = true;
    }
    void complete(operation_ptr self) override {
        order_.push_back(number_);
        const auto then = std::move(then_);
        self.reset();
        if (then) then();
    }
    void post_completion(const boost::asio::any_io_executor& io) override {
        boost::asio::post(io, [self = operation_ptr(this)]() mutable {
            auto* const me = self.get();
            me->complete(std::move(self));
        });
    }

private:
    std::vector<int>& order_;
    int number_;
    std::function<void()> then_;
};

} // namespace

TEST_CASE("settled operations are completed in order, never at once, several in one post", "[delivery]") {
    boost::asio::io_context context;
    std::vector<int> order;
    delivery to(context.get_executor());
    constexpr int count = static_cast<int>(delivery::most_in_one_post) + 3;
    std::vector<int> expected;
    for (int i = 0; i < count; ++i) {
        to.add(new noted(order, i));
        expected.push_back(i);
    }
    to.flush();
    to.flush(); // nothing left: no third post
    CHECK(order.empty());
    CHECK(context.run() == 2);
    CHECK(order == expected);
}

TEST_CASE("a caller with an executor of its own gets a post of its own", "[delivery]") {
    boost::asio::io_context context;
    std::vector<int> order;
    delivery to(context.get_executor());
    const operation_ptr own = new noted(order, 1);
    own->on_store_executor = false;
    to.add(own);
    CHECK(context.run() == 1);
    CHECK(order == std::vector{1});
}

TEST_CASE("a handler that throws does not take the others' completions with it", "[delivery]") {
    boost::asio::io_context context;
    std::vector<int> order;
    delivery to(context.get_executor());
    to.add(new noted(order, 1));
    to.add(new noted(order, 2, [] { throw std::runtime_error("a handler's own"); }));
    to.add(new noted(order, 3));
    to.flush();
    CHECK_THROWS_AS(context.run(), std::runtime_error);
    CHECK(order == std::vector{1, 2});
    context.run();
    CHECK(order == std::vector{1, 2, 3});
}

TEST_CASE("a handler that takes its time does not hold up those after it", "[delivery]") {
    boost::asio::io_context context;
    std::vector<int> order;
    delivery to(context.get_executor());
    const auto slow = [] {
        const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(2);
        while (std::chrono::steady_clock::now() < until) {}
    };
    for (int i = 0; i < 3; ++i)
        to.add(new noted(order, i, slow));
    to.flush();
    CHECK(context.run_one() == 1);
    CHECK(order == std::vector{0}); // the others can be run by another thread
    context.run();
    CHECK(order == std::vector{0, 1, 2});
}

TEST_CASE("what is not delivered when the event loop ends is freed", "[delivery]") {
    std::vector<int> order;
    {
        boost::asio::io_context context;
        delivery to(context.get_executor());
        to.add(new noted(order, 1));
        to.flush();
    }
    CHECK(order.empty());
}
