#include "wire/statement.hpp"

#include <boost/endian/conversion.hpp>

#include <cstring>
#include <limits>

namespace pgstate::wire {
namespace {

template <class Integer>
void append_big_endian(std::string& to, Integer value) {
    boost::endian::native_to_big_inplace(value);
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    to.append(bytes, sizeof value);
}

} // namespace

void parameters::add_text(std::string_view value) {
    add() = value;
}

void parameters::add_jsonb_in_place(const std::string& document) {
    auto& value = values_.emplace_back();
    value.in_place = document;
    value.text = true;
}

void parameters::add_int8(std::int64_t value) {
    append_big_endian(add(), value);
}

void parameters::add_uuid(const uuid& value) {
    add().assign(reinterpret_cast<const char*>(value.data()), value.size());
}

void parameters::add_uuid_in_place(const uuid& value) {
    values_.emplace_back().in_place = {reinterpret_cast<const char*>(value.data()), value.size()};
}

void parameters::add_null() {
    values_.emplace_back().null = true;
}

void parameters::add_timestamptz(timestamp value) {
    constexpr auto earliest = std::numeric_limits<std::int64_t>::min();
    constexpr auto before_epoch = postgres_epoch.time_since_epoch().count();
    const auto count = std::int64_t{value.time_since_epoch().count()};
    // The server reads the least number as -infinity, and refuses those between it and 4714 BC.
    constexpr std::int64_t first_moment = -211'813'488'000'000'000;
    const bool too_early = count < earliest + before_epoch || count - before_epoch < first_moment;
    add_int8(too_early ? earliest : count - before_epoch);
}

void parameters::begin_array(type_oid element, std::size_t count, std::size_t bytes_hint) {
    auto& value = add();
    value.reserve(20 + count * 5 + bytes_hint);
    append_big_endian(value, std::int32_t{1}); // dimensions
    append_big_endian(value, std::int32_t{0}); // no nulls
    append_big_endian(value, static_cast<std::int32_t>(element));
    append_big_endian(value, static_cast<std::int32_t>(count));
    append_big_endian(value, std::int32_t{1}); // lower bound
}

void parameters::begin_text_array(std::size_t count, std::size_t bytes_hint) {
    begin_array(type_oid::text, count, bytes_hint);
}

void parameters::begin_int8_array(std::size_t count) {
    begin_array(type_oid::int8, count, count * 8);
}

void parameters::begin_uuid_array(std::size_t count) {
    begin_array(type_oid::uuid, count, count * 16);
}

void parameters::element_text(std::string_view value) {
    append_big_endian(values_.back().own, static_cast<std::int32_t>(value.size()));
    values_.back().own.append(value);
}

void parameters::element_int8(std::int64_t value) {
    append_big_endian(values_.back().own, std::int32_t{8});
    append_big_endian(values_.back().own, value);
}

void parameters::element_uuid(const uuid& value) {
    append_big_endian(values_.back().own, std::int32_t{16});
    values_.back().own.append(reinterpret_cast<const char*>(value.data()), value.size());
}

} // namespace pgstate::wire
