#include "wire/rows.hpp"

#include "pgstate/error.hpp"

#include <boost/endian/conversion.hpp>

#include <libpq-fe.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <limits>

namespace pgstate::wire {
namespace {

[[noreturn]] void unexpected(const char* type) {
    throw error(errc::corrupt_state, {},
                std::string("the server's answer has no ") + type + " where one belongs");
}

std::int64_t big_endian_64(std::string_view bytes) {
    return boost::endian::load_big_s64(reinterpret_cast<const unsigned char*>(bytes.data()));
}

constexpr std::int64_t before_postgres = postgres_epoch.time_since_epoch().count();

} // namespace

timestamp clock_time(std::int64_t number) noexcept {
    using limits = std::numeric_limits<std::int64_t>;
    if (number == limits::min()) return timestamp::min();
    return postgres_epoch + std::chrono::microseconds(std::min(number, limits::max() - before_postgres));
}

int rows::size() const noexcept {
    return result_ ? PQntuples(result_.get()) : 0;
}

int rows::columns() const noexcept {
    return result_ ? PQnfields(result_.get()) : 0;
}

std::int64_t rows::affected() const noexcept {
    if (!result_) return 0;
    const std::string_view text = PQcmdTuples(result_.get());
    std::int64_t count = 0;
    std::from_chars(text.data(), text.data() + text.size(), count);
    return count;
}

std::size_t rows::bytes() const noexcept {
    // libpq is asked of each value only where lengths differ: this is done for every answer.
    std::size_t sum = 0;
    const int height = size();
    for (int column = 0; column < columns(); ++column) {
        if (const int each = PQfsize(result_.get(), column); each > 0) {
            sum += static_cast<std::size_t>(height) * static_cast<std::size_t>(each);
            continue;
        }
        for (int row = 0; row < height; ++row)
            sum += static_cast<std::size_t>(PQgetlength(result_.get(), row, column));
    }
    return sum;
}

std::string_view rows::raw(int row, int column) const {
    if (row < 0 || row >= size() || column < 0 || column >= columns()) unexpected("value");
    return {PQgetvalue(result_.get(), row, column),
            static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

bool rows::is_null(int row, int column) const {
    raw(row, column);
    return PQgetisnull(result_.get(), row, column) != 0;
}

std::string_view rows::text(int row, int column) const {
    const auto value = raw(row, column);
    if (PQgetisnull(result_.get(), row, column)) unexpected("text");
    return value;
}

std::string_view rows::jsonb(int row, int column) const {
    const auto value = raw(row, column);
    if (value.empty() || value.front() != 1) unexpected("jsonb document");
    return value.substr(1);
}

std::int64_t rows::int8(int row, int column) const {
    const auto value = raw(row, column);
    if (value.size() != 8) unexpected("bigint");
    return big_endian_64(value);
}

std::uint64_t rows::xid8(int row, int column) const {
    return static_cast<std::uint64_t>(int8(row, column));
}

std::uint32_t rows::xid(int row, int column) const {
    const auto value = raw(row, column);
    if (value.size() != 4) unexpected("xid");
    return boost::endian::load_big_u32(reinterpret_cast<const unsigned char*>(value.data()));
}

uuid rows::uuid(int row, int column) const {
    const auto value = raw(row, column);
    wire::uuid bytes;
    if (value.size() != bytes.size()) unexpected("uuid");
    std::copy(value.begin(), value.end(), bytes.begin());
    return bytes;
}

bool rows::boolean(int row, int column) const {
    const auto value = raw(row, column);
    if (value.size() != 1) unexpected("boolean");
    return value.front() != 0;
}

timestamp rows::server_time(int row, int column) const {
    const auto value = raw(row, column);
    const bool null = PQgetisnull(result_.get(), row, column) != 0;
    if (!null && value.size() != 8) unexpected("timestamptz");
    return timestamp(std::chrono::microseconds(null ? -before_postgres : big_endian_64(value)));
}

} // namespace pgstate::wire
