#include "text.hpp"

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace pgstate::cli {
namespace {

constexpr std::string_view space = " \t\r\n";
constexpr std::string_view punctuation = "{}[]:,";

/// Where the token that begins at `at` ends.
std::size_t token_end(std::string_view json, std::size_t at) {
    if (punctuation.find(json[at]) != punctuation.npos) return at + 1;
    if (json[at] != '"') {
        while (at < json.size() && punctuation.find(json[at]) == punctuation.npos &&
               space.find(json[at]) == space.npos)
            ++at;
        return at;
    }
    for (++at; at < json.size() && json[at] != '"'; ++at)
        if (json[at] == '\\') ++at;
    return at + 1;
}

template <class Use>
void for_each_token(std::string_view json, Use use) {
    for (std::size_t at = 0; (at = json.find_first_not_of(space, at)) != json.npos;) {
        const auto end = token_end(json, at);
        use(json.substr(at, end - at), end);
        at = end;
    }
}

class pretty_writer {
public:
    pretty_writer(std::string_view json, bool colored) : json_(json), colored_(colored) {}

    std::string write() {
        for_each_token(json_, [this](std::string_view token, std::size_t end) { add(token, end); });
        return std::move(out_);
    }

private:
    void add(std::string_view token, std::size_t end) {
        switch (token.front()) {
        case '{':
        case '[':
            begin_value();
            out_ += token;
            ++depth_;
            fresh_ = true;
            return;
        case '}':
        case ']':
            --depth_;
            if (!fresh_) new_line();
            fresh_ = false;
            out_ += token;
            return;
        case ',':
            out_ += token;
            comma_ = true;
            return;
        case ':': out_ += ": "; return;
        default: break;
        }
        begin_value();
        paint(token, color_of(token, end));
    }

    void begin_value() {
        if (fresh_ || comma_) new_line();
        fresh_ = comma_ = false;
    }

    void new_line() {
        out_ += '\n';
        out_.append(2 * depth_, ' ');
    }

    std::string_view color_of(std::string_view token, std::size_t end) const {
        if (token.front() != '"') return "33"; // numbers and words: yellow
        const auto next = json_.find_first_not_of(space, end);
        const bool name = next != json_.npos && json_[next] == ':';
        return name ? "36" : "32"; // cyan and green
    }

    void paint(std::string_view token, std::string_view color) {
        if (!colored_) {
            out_ += token;
            return;
        }
        out_.append("\x1b[").append(color).append("m").append(token).append("\x1b[0m");
    }

    std::string_view json_;
    bool colored_;
    std::string out_;
    std::size_t depth_ = 0;
    bool fresh_ = false; ///< after an opening bracket
    bool comma_ = false;
};

} // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
    constexpr std::array<std::pair<std::string_view, std::int64_t>, 6> units{{
        {"", 1'000},
        {"ms", 1},
        {"s", 1'000},
        {"m", 60'000},
        {"h", 3'600'000},
        {"d", 86'400'000},
    }};
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [at, bad] = std::from_chars(text.data(), end, number);
    if (bad != std::errc() || number < 0) return std::nullopt;
    const std::string_view unit(at, static_cast<std::size_t>(end - at));
    for (const auto& [name, milliseconds] : units) {
        if (unit != name) continue;
        if (number > INT64_MAX / milliseconds) return std::nullopt;
        return std::chrono::milliseconds(number * milliseconds);
    }
    return std::nullopt;
}

std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) {
        constexpr std::string_view special = "\\\t\n";
        const auto byte = static_cast<unsigned char>(c);
        if (const auto at = special.find(c); at != special.npos) {
            out.append({'\\', "\\tn"[at]});
        } else if (byte < 0x20 || byte == 0x7f) {
            std::array<char, 8> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
            out += escaped.data();
        } else {
            out += c;
        }
    }
    return out;
}

std::string grouped(std::int64_t number) {
    auto digits = std::to_string(number);
    for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3)
        digits.insert(static_cast<std::size_t>(at), ",");
    return digits;
}

void append_compact(std::string& out, std::string_view json) {
    for_each_token(json, [&](std::string_view token, std::size_t) { out += token; });
}

void append_members(std::string& out, std::string_view json, std::string_view name, std::string_view value) {
    int depth = 0;
    bool behind_colon = false;
    bool named = false;
    for_each_token(json, [&](std::string_view token, std::size_t) {
        const char first = token.front();
        if (first == '}' || first == ']') --depth;
        if (depth == 0 && first == '"' && !behind_colon) named = token.substr(1, token.size() - 2) == name;
        if (depth == 0 && (first == ':' || first == ',')) behind_colon = first == ':';
        if (depth == 0 && named && behind_colon && first != ':')
            append_compact(out, value);
        else
            out += token;
        if (first == '{' || first == '[') ++depth;
    });
}

std::string pretty(std::string_view json, bool colored) {
    return pretty_writer(json, colored).write();
}

} // namespace pgstate::cli
