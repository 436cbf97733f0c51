#include "completion.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <set>
#include <string>
#include <vector>

namespace pgstate::cli {
namespace {

/// The words in braces that CLI::IsMember puts into an option's type.
std::vector<std::string> values_of(const CLI::Option& option) {
    const auto type = option.get_type_name();
    const auto begin = type.find('{');
    const auto end = type.find('}');
    if (begin == type.npos || end == type.npos) return {};
    return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

/// `use(name, option)` for each option, its name with the dashes.
template <class Use>
void for_each_option(const CLI::App& app, Use use) {
    for (const auto* option : app.get_options())
        for (const auto& name : option->get_lnames())
            use("--" + name, *option);
}

bool takes_value(const CLI::Option& option) {
    return option.get_items_expected_max() > 0;
}

/// The words that the first argument of a command can be, where they are known.
std::vector<std::string> values_of(const CLI::App& command) {
    for (const auto* option : command.get_options())
        if (auto values = values_of(*option); option->get_positional() && !values.empty()) return values;
    return {};
}

auto commands_of(const CLI::App& program) {
    return program.get_subcommands([](const CLI::App*) { return true; });
}

std::string joined(const std::vector<std::string>& words) {
    return CLI::detail::join(words, " ");
}

std::string names_of(const CLI::App& app) {
    std::vector<std::string> names;
    for_each_option(app, [&](const std::string& name, const CLI::Option&) { names.push_back(name); });
    return joined(names);
}

/// In single quotes, as all three shells take it.
std::string in_quotes(const std::string& text) {
    std::string out = "'";
    for (const char c : text)
        if (c != '\'') out += c;
    return out + "'";
}

/// The lines of a bash `case` for what the word after an option can be; `done` has the options that were before.
std::string value_cases(const CLI::App& app, std::set<std::string>& done) {
    std::string lines;
    for_each_option(app, [&](const std::string& name, const CLI::Option& option) {
        if (!takes_value(option) || !done.insert(name).second) return;
        lines += "        " + name + ") ";
        if (const auto values = values_of(option); !values.empty())
            lines += "COMPREPLY=($(compgen -W " + in_quotes(joined(values)) + " -- \"$cur\")); ";
        lines += "return ;;\n";
    });
    return lines;
}

std::string bash_script(const CLI::App& program) {
    std::vector<std::string> names;
    std::string cases;
    std::set<std::string> options;
    std::string values = value_cases(program, options);
    for (const auto* command : commands_of(program)) {
        names.push_back(command->get_name());
        cases += "        " + command->get_name() + ") words=" + in_quotes(names_of(*command)) +
                 "; arguments=" + in_quotes(joined(values_of(*command))) + " ;;\n";
        values += value_cases(*command, options);
    }
    return "# bash completion for pgstate: source <(pgstate completion bash)\n"
           "_pgstate() {\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
           "    local commands=" +
           in_quotes(joined(names)) +
           "\n    local words='' arguments='' command='' word\n"
           "    COMPREPLY=()\n"
           "    case $prev in\n" +
           values +
           "    esac\n"
           "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
           "        if [[ $word != -* && \" $commands \" == *\" $word \"* ]]; then command=$word; break; fi\n"
           "    done\n"
           "    case $command in\n"
           "        '') arguments=$commands ;;\n" +
           cases +
           "    esac\n"
           "    if [[ $cur == -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$words " +
           names_of(program) +
           "\" -- \"$cur\"))\n"
           "    elif [[ -n $arguments ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$arguments\" -- \"$cur\"))\n"
           "    fi\n"
           "}\n"
           "complete -o default -F _pgstate pgstate\n";
}

/// As zsh's _arguments takes them.
std::string zsh_options(const CLI::App& app) {
    std::string lines;
    for_each_option(app, [&](const std::string& name, const CLI::Option& option) {
        std::string about;
        for (const char c : option.get_description()) {
            if (c == '[' || c == ']' || c == ':' || c == '\\') about += '\\';
            about += c;
        }
        auto line = name + "[" + about + "]";
        const auto values = values_of(option);
        if (takes_value(option))
            line += values.empty() ? ":value:_default" : ":value:(" + joined(values) + ")";
        lines += " \\\n            " + in_quotes(line);
    });
    return lines;
}

std::string zsh_script(const CLI::App& program) {
    std::string names;
    std::string cases;
    for (const auto* command : commands_of(program)) {
        const auto values = values_of(*command);
        names += "        " + in_quotes(command->get_name() + ":" + command->get_description()) + "\n";
        cases += "        " + command->get_name() + ") _arguments" + zsh_options(*command) +
                 zsh_options(program) + " \\\n            " +
                 in_quotes(values.empty() ? "*:argument:_default" : "1:argument:(" + joined(values) + ")") +
                 " ;;\n";
    }
    return "#compdef pgstate\n"
           "# zsh completion for pgstate: source <(pgstate completion zsh)\n"
           "_pgstate() {\n"
           "    local -a commands\n"
           "    local context state line\n"
           "    commands=(\n" +
           names + "    )\n    _arguments -C" + zsh_options(program) +
           " \\\n            '1:command:->command' '*::argument:->argument'\n"
           "    case $state in\n"
           "        command) _describe command commands; return ;;\n"
           "    esac\n"
           "    case $line[1] in\n" +
           cases +
           "    esac\n"
           "}\n"
           "compdef _pgstate pgstate\n";
}

std::string fish_options(const CLI::App& app, const std::string& condition) {
    std::string lines;
    for_each_option(app, [&](const std::string& name, const CLI::Option& option) {
        lines += "complete -c pgstate" + condition + " -l " + name.substr(2);
        if (takes_value(option)) lines += " -r";
        if (const auto values = values_of(option); !values.empty())
            lines += " -f -a " + in_quotes(joined(values));
        lines += " -d " + in_quotes(option.get_description()) + "\n";
    });
    return lines;
}

std::string fish_script(const CLI::App& program) {
    std::string script =
        "# fish completion for pgstate: pgstate completion fish | source\n" + fish_options(program, "");
    for (const auto* command : commands_of(program)) {
        const auto within = " -n " + in_quotes("__fish_seen_subcommand_from " + command->get_name());
        script += "complete -c pgstate -n __fish_use_subcommand -f -a " + command->get_name() + " -d " +
                  in_quotes(command->get_description()) + "\n" + fish_options(*command, within);
        if (const auto values = values_of(*command); !values.empty())
            script += "complete -c pgstate" + within + " -f -a " + in_quotes(joined(values)) + "\n";
    }
    return script;
}

} // namespace

std::string completion_script(const CLI::App& app, std::string_view shell) {
    if (shell == "bash") return bash_script(app);
    return shell == "zsh" ? zsh_script(app) : fish_script(app);
}

} // namespace pgstate::cli
