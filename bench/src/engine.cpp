#include "engine.hpp"

namespace bench {
namespace {

thread_local unsigned number = 0;

} // namespace

engine::engine(unsigned threads) : io_(static_cast<int>(threads)), open_(io_.get_executor()) {
    for (unsigned i = 0; i < threads; ++i)
        threads_.emplace_back([this, i] {
            number = i;
            io_.run();
        });
}

engine::~engine() {
    io_.stop();
}

// Not inline: a coroutine may be resumed by another thread than that whose variable the compiler remembers.
unsigned engine::this_thread() noexcept {
    return number;
}

} // namespace bench
