#pragma once

#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace pgstate::cli {

/// The script that completes the commands and options of `app`, made from `app` itself.
/// \pre `shell` is bash, zsh or fish
std::string completion_script(const CLI::App& app, std::string_view shell);

} // namespace pgstate::cli
