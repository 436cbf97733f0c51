#ifndef PGSTATE_TEST_INTEGRATION_JSONPATH_GENERATOR_HPP
#define PGSTATE_TEST_INTEGRATION_JSONPATH_GENERATOR_HPP

#include <boost/json/value.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace pgstate_test {

/// Random documents and paths with few keys and few values, so that paths often find something.
class jsonpath_generator {
public:
    explicit jsonpath_generator(std::uint32_t seed) : random_(seed) {}

    boost::json::value document() { return value(3); }
    /// What is worth a try as a part of `whole`: often a piece of it, with something left out or changed.
    boost::json::value part_of(const boost::json::value& whole);
    /// A predicate mostly, sometimes any other expression.
    std::string path();
    /// `text` with a few characters or words put in, taken out or exchanged.
    std::string mutated(std::string text);

    /// A regular expression, and a text that it may match.
    std::string pattern(std::size_t depth = 3);
    std::string subject();
    /// A number as jsonb can hold it, from tiny to large, with many digits or few.
    std::string number();

    std::size_t below(std::size_t end) {
        return std::uniform_int_distribution<std::size_t>(0, end - 1)(random_);
    }
    bool one_in(std::size_t n) { return below(n) == 0; }
    template <class T>
    const T& pick(const std::vector<T>& from) {
        return from[below(from.size())];
    }

private:
    boost::json::value value(std::size_t depth);
    boost::json::value primitive();
    std::string pick_text(std::initializer_list<const char*> from) {
        return *(from.begin() + below(from.size()));
    }
    std::string predicate(std::size_t depth);
    std::string delimited_predicate(std::size_t depth);
    std::string expression(std::size_t depth);
    std::string beginning();
    std::string accessors(std::size_t depth);
    std::string accessor(std::size_t depth);
    std::string subscripts(std::size_t depth);
    std::string literal();

    std::mt19937 random_;
    std::size_t filters_ = 0;
    std::size_t subscripts_ = 0;
};

} // namespace pgstate_test

#endif
