#include "sql/write_names.hpp"

#include <boost/endian/conversion.hpp>

#include <algorithm>
#include <random>

namespace pgstate::sql {
namespace {

constexpr std::size_t half = 8;

std::uint64_t draw() {
    std::random_device device;
    return std::uniform_int_distribution<std::uint64_t>()(device);
}

} // namespace

write_names::write_names() : store_(draw()) {}

wire::uuid write_names::next() noexcept {
    wire::uuid name;
    boost::endian::store_big_u64(name.data(), store_);
    boost::endian::store_big_u64(name.data() + half, last_.fetch_add(1, std::memory_order_relaxed) + 1);
    return name;
}

bool write_names::earlier(const wire::uuid& a, const wire::uuid& b) noexcept {
    return std::equal(a.begin(), a.begin() + half, b.begin()) && a < b;
}

} // namespace pgstate::sql
