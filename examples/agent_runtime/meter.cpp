#include "meter.hpp"

#include <algorithm>

namespace demo {

std::vector<double> latencies::sorted() const {
    std::vector<double> copy;
    {
        const std::lock_guard lock(mutex_);
        copy = milliseconds_;
    }
    std::sort(copy.begin(), copy.end());
    return copy;
}

} // namespace demo
