#include "wire/connect_message.hpp"

#include <algorithm>
#include <cctype>

namespace pgstate::wire {
namespace {

bool is_sqlstate(std::string_view text) {
    return text.size() == 5 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
               return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
           });
}

/// Where "XXXXX: " begins in "SEVERITY:  XXXXX: text" (the severity may be translated); npos if nowhere.
std::size_t find_sqlstate(std::string_view line) {
    for (auto at = line.find(":  "); at != std::string_view::npos; at = line.find(":  ", at + 1))
        if (at + 10 <= line.size() && is_sqlstate(line.substr(at + 3, 5)) && line.substr(at + 8, 2) == ": ")
            return at + 3;
    return std::string_view::npos;
}

} // namespace

server_error parse_connect_failure(std::string_view message) {
    server_error failure;
    bool after_sqlstate = false;
    while (!message.empty()) {
        const auto end = std::min(message.find('\n'), message.size());
        const auto line = message.substr(0, end);
        message.remove_prefix(std::min(end + 1, message.size()));

        const auto at = find_sqlstate(line);
        const bool new_attempt = line.find("failed: ") != std::string_view::npos;
        if (at == std::string_view::npos && after_sqlstate && !new_attempt)
            continue; // detail, hint, location
        if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
        if (!failure.message.empty()) failure.message += "; ";
        if (at == std::string_view::npos) {
            failure.message += line.substr(line.find_first_not_of(" \t"));
            after_sqlstate = false;
            if (new_attempt) failure.sqlstate.clear();
        } else {
            failure.message.append(line.substr(0, at)).append(line.substr(at + 7));
            // With several hosts the last refusal is the one that decided.
            failure.sqlstate = line.substr(at, 5);
            after_sqlstate = true;
        }
    }
    return failure;
}

std::string conninfo_refusal(std::string_view message, std::string_view conninfo) {
    const auto begin = message.find('"');
    const auto end_of_name = message.find('"', begin == std::string_view::npos ? begin : begin + 1);
    if (end_of_name != std::string_view::npos) {
        const auto at = conninfo.find(message.substr(begin + 1, end_of_name - begin - 1));
        const bool behind_password = conninfo.substr(0, at).find("password") != std::string_view::npos;
        const bool in_credentials =
            at != std::string_view::npos && conninfo.find('@', at) != std::string_view::npos;
        if (behind_password || in_credentials) message = {};
    }
    for (std::string_view safe : {"invalid connection option", "invalid URI query parameter"})
        if (message.substr(0, safe.size()) == safe) {
            const auto end = std::min(message.find('\n'), message.size());
            return std::string("libpq refuses it: ").append(message.substr(0, end));
        }
    return "libpq cannot parse it; check the quotes, the \"=\" signs and the percent-encoding "
           "(the string is not repeated here because it may hold a password)";
}

bool is_permanent_connect_failure(std::string_view sqlstate) {
    return sqlstate.substr(0, 2) == "28" || sqlstate == "3D000" || sqlstate == "42501" ||
           sqlstate == "0A000" || sqlstate == "42704" || sqlstate == "22023";
}

} // namespace pgstate::wire
