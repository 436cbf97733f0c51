// Parameters in PostgreSQL's binary format, compared with what a reader makes of them that knows the format from the
// server's array_recv, and shares no code with the writer.

#include "fuzz/fuzz.hpp"
#include "wire/statement.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace {

using pgstate::wire::parameters;
using pgstate_fuzz::require;

using text_array = std::vector<std::string>;
using int8_array = std::vector<std::int64_t>;
struct null {};
using parameter = std::variant<null, std::string, std::int64_t, text_array, int8_array>;

/// The parameters that the input asks for.
std::vector<parameter> read_parameters(std::string_view input) {
    pgstate_fuzz::reader in(input);
    std::vector<parameter> all;
    while (!in.empty()) {
        switch (in.number<std::uint8_t>() % 5) {
        case 0: all.emplace_back(null{}); break;
        case 1: all.emplace_back(std::string(in.text())); break;
        case 2: all.emplace_back(in.number<std::int64_t>()); break;
        case 3:
            for (auto& each : std::get<text_array>(all.emplace_back(text_array(in.number<std::uint8_t>()))))
                each = in.text();
            break;
        case 4:
            for (auto& each : std::get<int8_array>(all.emplace_back(int8_array(in.number<std::uint8_t>()))))
                each = in.number<std::int64_t>();
            break;
        }
    }
    return all;
}

struct writer {
    parameters& to;

    void operator()(null) const { to.add_null(); }
    void operator()(const std::string& value) const { to.add_text(value); }
    void operator()(std::int64_t value) const { to.add_int8(value); }
    void operator()(const text_array& array) const {
        to.begin_text_array(array.size());
        for (const auto& each : array)
            to.element_text(each);
    }
    void operator()(const int8_array& array) const {
        to.begin_int8_array(array.size());
        for (const auto each : array)
            to.element_int8(each);
    }
};

/// As the server's pq_getmsg functions.
class message {
public:
    explicit message(std::string_view bytes) noexcept : rest_(bytes) {}

    std::string_view bytes(std::size_t count) {
        require(count <= rest_.size(), "a value is as long as it says");
        const auto taken = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return taken;
    }
    std::uint64_t integer(std::size_t size) {
        std::uint64_t value = 0;
        for (const char c : bytes(size))
            value = value * 256 + static_cast<unsigned char>(c);
        return value;
    }
    std::size_t length() {
        const auto value = integer(4);
        require(value < 0x80000000U, "a length is not negative");
        return static_cast<std::size_t>(value);
    }
    void end() const { require(rest_.empty(), "a value has nothing behind its end"); }

private:
    std::string_view rest_;
};

template <class Element>
std::vector<Element> read_array(std::string_view bytes, std::uint64_t type, Element (*read)(message&)) {
    message in(bytes);
    require(in.integer(4) == 1, "one dimension");
    require(in.integer(4) == 0, "no nulls");
    require(in.integer(4) == type, "the elements' type");
    const auto count = in.length();
    require(in.integer(4) == 1, "the lower bound");
    std::vector<Element> all;
    for (std::size_t i = 0; i < count; ++i)
        all.push_back(read(in));
    in.end();
    return all;
}

std::string text_element(message& in) {
    return std::string(in.bytes(in.length()));
}

std::int64_t int8_element(message& in) {
    require(in.length() == 8, "an int8 has eight bytes");
    return static_cast<std::int64_t>(in.integer(8));
}

struct checker {
    std::string_view bytes; ///< without data: NULL

    void operator()(null) const { require(bytes.data() == nullptr, "NULL is NULL"); }
    void operator()(const std::string& value) const {
        require(bytes.data() != nullptr && bytes == value, "a text is its bytes");
    }
    void operator()(std::int64_t value) const {
        message in(bytes);
        require(static_cast<std::int64_t>(in.integer(8)) == value, "an int8 is in the network's order");
        in.end();
    }
    void operator()(const text_array& array) const {
        require(read_array(bytes, 25, text_element) == array, "an array of texts reads back as it was");
    }
    void operator()(const int8_array& array) const {
        require(read_array(bytes, 20, int8_element) == array, "an array of int8 reads back as it was");
    }
};

void write_parameters(std::string_view input) {
    const auto wanted = read_parameters(input);
    parameters made;
    for (const auto& each : wanted)
        std::visit(writer{made}, each);
    require(made.size() == wanted.size(), "as many parameters as were added");
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        require(made.format(i) == 1, "the format is binary");
        std::visit(checker{made.value(i)}, wanted[i]);
        bytes += made.value(i).size();
    }
    require(made.bytes() == bytes, "the sum of the bytes");
}

const pgstate_fuzz::target registered("parameters", write_parameters);

} // namespace
