#ifndef PGSTATE_TEST_FUZZ_HPP
#define PGSTATE_TEST_FUZZ_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <vector>

namespace pgstate_fuzz {

/// What a target throws when something does not hold; nobody catches it but those who report it.
struct broken_property : std::logic_error {
    using logic_error::logic_error;
};

inline void require(bool holds, const char* what) {
    if (!holds) throw broken_property(what);
}

/// Something that is given hostile input. A target in a source is known by being made there, with static storage.
struct target {
    using function = void (*)(std::string_view input);

    target(std::string_view name_, function run_) : name(name_), run(run_) { all().push_back(*this); }

    static std::vector<target>& all() {
        static std::vector<target> instance;
        return instance;
    }

    std::string_view name;
    function run;
};

/// Input read as numbers and texts, for targets that are given more than one text. Past its end everything is empty.
class reader {
public:
    explicit reader(std::string_view input) noexcept : rest_(input) {}

    bool empty() const noexcept { return rest_.empty(); }

    template <class Integer>
    Integer number() noexcept {
        static_assert(std::is_integral_v<Integer>);
        const auto bytes = take(sizeof(Integer));
        Integer value{};
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        return value;
    }
    /// One whose length is the next byte.
    std::string_view text() noexcept { return take(number<std::uint8_t>()); }
    std::string_view rest() noexcept { return take(rest_.size()); }

private:
    std::string_view take(std::size_t count) noexcept {
        const auto taken = rest_.substr(0, count);
        rest_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view rest_;
};

} // namespace pgstate_fuzz

#endif
