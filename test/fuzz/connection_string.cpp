// Connection strings: what pgstate takes, libpq takes; what is taken out stays out; no message holds the password.

#include "config/connection_string.hpp"

#include "config/pool_settings.hpp"
#include "fuzz/fuzz.hpp"
#include "pgstate/config.hpp"
#include "pgstate/error.hpp"

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace {

using pgstate_fuzz::require;
namespace settings = pgstate::settings;

constexpr std::string_view password = "hunter2";

std::optional<settings::split_connection_string> split(std::string_view text) {
    try {
        return settings::split(text);
    } catch (const pgstate::error& e) {
        require(e == pgstate::errc::invalid_argument,
                "a connection string is refused as an invalid argument");
        require(std::string_view(e.what()).find(password) == std::string_view::npos,
                "a refusal does not quote the connection string");
        return std::nullopt;
    }
}

/// libpq's refusal, empty if it takes the text. Unknown options are no matter of the syntax.
std::string refused_by_libpq(const std::string& conninfo) {
    char* message = nullptr;
    PQconninfoOption* const options = PQconninfoParse(conninfo.c_str(), &message);
    const std::unique_ptr<char, void (*)(void*)> owned(message, PQfreemem);
    if (options) {
        PQconninfoFree(options);
        return {};
    }
    const std::string why = message ? message : "";
    const bool unknown_option = why.find("invalid connection option") != why.npos ||
                                why.find("invalid URI query parameter") != why.npos;
    return unknown_option ? std::string() : why;
}

void parse_connection_string(std::string_view input) {
    const auto taken = split(input);
    if (!taken) return;
    const auto& kept = taken->libpq_conninfo;
    require(refused_by_libpq(kept).empty(), "libpq takes the syntax of what pgstate took");
    require(kept.size() <= input.size(), "nothing is added");
    if (taken->pool_settings.empty()) require(kept == input, "without pool settings nothing is changed");

    if (kept.find_first_not_of(" \t\n\v\f\r") != kept.npos) {
        const auto again = split(kept);
        require(again.has_value(), "what is kept is taken again");
        require(again->pool_settings.empty(), "no pool setting is left");
        require(again->libpq_conninfo == kept, "what is kept stays as it is");
        require(again->connect_timeout_given == taken->connect_timeout_given, "connect_timeout is kept");
    }

    pgstate::pool_config pool;
    for (const auto& setting : taken->pool_settings) {
        require(setting.name.starts_with("pool_"), "a pool setting's name begins with pool_");
        try {
            settings::apply(setting, pool);
        } catch (const pgstate::error& e) {
            require(e == pgstate::errc::invalid_argument, "a pool setting is refused as an invalid argument");
        }
    }
}

const pgstate_fuzz::target registered("connection_string", parse_connection_string);

} // namespace
