#include "pgstate/adapters/spdlog.hpp"

#include "adapters/attribute_text.hpp"
#include "pgstate/error.hpp"

#include <spdlog/fmt/fmt.h>
#include <spdlog/logger.h>
#include <spdlog/spdlog.h>

#include <iterator>
#include <string>
#include <string_view>
#include <utility>

namespace pgstate {
namespace {

/// spdlog's levels come in the same order.
spdlog::level::level_enum level_of(log_level level) {
    return static_cast<spdlog::level::level_enum>(level);
}
static_assert(static_cast<int>(log_level::trace) == spdlog::level::trace &&
              static_cast<int>(log_level::error) == spdlog::level::err);

unsigned char byte_at(std::string_view text, std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
}

/// The length in bytes of the control character or line separator that starts at `i`; 0: none does. In UTF-8, U+0080 to
/// U+009F are controls as well, and U+2028 and U+2029 end a line for some readers.
std::size_t control_at(std::string_view text, std::size_t i) {
    const auto first = byte_at(text, i);
    const auto second = byte_at(text, i + 1);
    const auto third = byte_at(text, i + 2);
    if (first < 0x20 || first == 0x7f) return 1;
    if (first == 0xc2 && second >= 0x80 && second <= 0x9f) return 2;
    if (first == 0xe2 && second == 0x80 && (third == 0xa8 || third == 0xa9)) return 3;
    return 0;
}

/// Appends `text` with its control characters escaped, and with those of `special` behind a backslash.
void append_escaped(std::string& to, std::string_view text, std::string_view special) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (const auto length = control_at(text, i)) {
            switch (c) {
            case '\n': to += "\\n"; break;
            case '\r': to += "\\r"; break;
            case '\t': to += "\\t"; break;
            default:
                for (std::size_t k = i; k < i + length; ++k)
                    spdlog::fmt_lib::format_to(std::back_inserter(to), "\\x{:02x}", byte_at(text, k));
            }
            i += length - 1;
        } else {
            if (special.find(c) != std::string_view::npos) to += '\\';
            to += c;
        }
    }
}

bool needs_quotes(std::string_view value) {
    if (value.empty() || value.find_first_of(" \"=\\") != std::string_view::npos) return true;
    for (std::size_t i = 0; i < value.size(); ++i)
        if (control_at(value, i) != 0) return true;
    return false;
}

void append_value(std::string& to, std::string_view value) {
    if (needs_quotes(value)) {
        to += '"';
        append_escaped(to, value, "\"\\");
        to += '"';
    } else {
        to += value;
    }
}

/// A key has no quotes, so what would need them becomes an underscore.
void append_key(std::string& to, std::string_view key) {
    for (const char c : key)
        to += static_cast<unsigned char>(c) <= ' ' || c == '=' || c == '"' || c == '\x7f' ? '_' : c;
}

} // namespace

spdlog_logger::spdlog_logger() : spdlog_logger(spdlog::default_logger()) {}

spdlog_logger::spdlog_logger(std::shared_ptr<spdlog::logger> to) : to_(std::move(to)) {
    if (!to_) throw error(errc::invalid_argument, "spdlog_logger", "there is no spdlog logger");
}

bool spdlog_logger::enabled(log_level level) const {
    return to_->should_log(level_of(level)) || to_->should_backtrace();
}

void spdlog_logger::log(const log_record& record) {
    std::string line;
    line.reserve(record.message.size() + 32 * record.attributes.size());
    append_escaped(line, record.message, {});
    for (const auto& attribute : record.attributes) {
        line += ' ';
        append_key(line, attribute.key);
        line += '=';
        adapters::with_text(attribute.value, [&](std::string_view value) { append_value(line, value); });
    }
    // As a view it is taken to the letter; as anything else it might be a format string.
    to_->log(level_of(record.level), spdlog::string_view_t(line.data(), line.size()));
}

} // namespace pgstate
