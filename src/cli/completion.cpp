#include "completion.hpp"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include <set>
#include <string>
#include <vector>

namespace pgstate::cli {
namespace {

struct option_shape {
    std::string name; ///< with its dashes
    std::string about;
    bool takes_value = false;
    std::vector<std::string> values; ///< the only ones, where there are such
};

struct command_shape {
    std::string name;
    std::string about;
    std::vector<option_shape> options;
    std::vector<std::string> values; ///< of its first argument
};

/// The words in braces that CLI::IsMember puts into an option's type.
std::vector<std::string> values_of(const CLI::Option& option) {
    const auto type = option.get_type_name();
    const auto begin = type.find('{');
    const auto end = type.find('}');
    if (begin == type.npos || end == type.npos) return {};
    return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

command_shape shape_of(const CLI::App& app) {
    command_shape shape{app.get_name(), app.get_description(), {}, {}};
    for (const auto* option : app.get_options()) {
        if (option->get_positional() && shape.values.empty()) shape.values = values_of(*option);
        for (const auto& name : option->get_lnames())
            shape.options.push_back({"--" + name, option->get_description(),
                                     option->get_items_expected_max() > 0, values_of(*option)});
    }
    return shape;
}

/// The program, and its commands with its options among theirs.
struct program_shape {
    command_shape whole;
    std::vector<command_shape> commands;
};

program_shape shape_of_program(const CLI::App& app) {
    program_shape program{shape_of(app), {}};
    for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; }))
        program.commands.push_back(shape_of(*command));
    return program;
}

std::string joined(const std::vector<std::string>& words) {
    return CLI::detail::join(words, " ");
}

std::string names_of(const std::vector<option_shape>& options) {
    std::vector<std::string> names;
    for (const auto& option : options)
        names.push_back(option.name);
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
std::string value_cases(const std::vector<option_shape>& options, std::set<std::string>& done) {
    std::string lines;
    for (const auto& option : options) {
        if (!option.takes_value || !done.insert(option.name).second) continue;
        lines += "        " + option.name + ") ";
        if (!option.values.empty())
            lines += "COMPREPLY=($(compgen -W " + in_quotes(joined(option.values)) + " -- \"$cur\")); ";
        lines += "return ;;\n";
    }
    return lines;
}

std::string bash_script(const program_shape& program) {
    std::vector<std::string> names;
    std::string cases;
    std::set<std::string> options;
    std::string values = value_cases(program.whole.options, options);
    for (const auto& command : program.commands) {
        names.push_back(command.name);
        cases += "        " + command.name + ") words=" + in_quotes(names_of(command.options)) +
                 "; arguments=" + in_quotes(joined(command.values)) + " ;;\n";
        values += value_cases(command.options, options);
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
           names_of(program.whole.options) +
           "\" -- \"$cur\"))\n"
           "    elif [[ -n $arguments ]]; then\n"
           "        COMPREPLY=($(compgen -W \"$arguments\" -- \"$cur\"))\n"
           "    fi\n"
           "}\n"
           "complete -o default -F _pgstate pgstate\n";
}

/// As zsh's _arguments takes them.
std::string zsh_options(const std::vector<option_shape>& options) {
    std::string lines;
    for (const auto& option : options) {
        std::string about;
        for (const char c : option.about) {
            if (c == '[' || c == ']' || c == ':' || c == '\\') about += '\\';
            about += c;
        }
        auto line = option.name + "[" + about + "]";
        if (option.takes_value)
            line += option.values.empty() ? ":value:_default" : ":value:(" + joined(option.values) + ")";
        lines += " \\\n            " + in_quotes(line);
    }
    return lines;
}

std::string zsh_script(const program_shape& program) {
    std::string names;
    std::string cases;
    for (const auto& command : program.commands) {
        names += "        " + in_quotes(command.name + ":" + command.about) + "\n";
        cases += "        " + command.name + ") _arguments" + zsh_options(command.options) +
                 zsh_options(program.whole.options) + " \\\n            " +
                 in_quotes(command.values.empty() ? "*:argument:_default"
                                                  : "1:argument:(" + joined(command.values) + ")") +
                 " ;;\n";
    }
    return "#compdef pgstate\n"
           "# zsh completion for pgstate: source <(pgstate completion zsh)\n"
           "_pgstate() {\n"
           "    local -a commands\n"
           "    local context state line\n"
           "    commands=(\n" +
           names + "    )\n    _arguments -C" + zsh_options(program.whole.options) +
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

std::string fish_options(const std::vector<option_shape>& options, const std::string& condition) {
    std::string lines;
    for (const auto& option : options) {
        lines += "complete -c pgstate" + condition + " -l " + option.name.substr(2);
        if (option.takes_value) lines += " -r";
        if (!option.values.empty()) lines += " -f -a " + in_quotes(joined(option.values));
        lines += " -d " + in_quotes(option.about) + "\n";
    }
    return lines;
}

std::string fish_script(const program_shape& program) {
    std::string script = "# fish completion for pgstate: pgstate completion fish | source\n" +
                         fish_options(program.whole.options, "");
    for (const auto& command : program.commands) {
        const auto within = " -n " + in_quotes("__fish_seen_subcommand_from " + command.name);
        script += "complete -c pgstate -n __fish_use_subcommand -f -a " + command.name + " -d " +
                  in_quotes(command.about) + "\n" + fish_options(command.options, within);
        if (!command.values.empty())
            script += "complete -c pgstate" + within + " -f -a " + in_quotes(joined(command.values)) + "\n";
    }
    return script;
}

} // namespace

std::string completion_script(const CLI::App& app, std::string_view shell) {
    const auto program = shape_of_program(app);
    if (shell == "bash") return bash_script(program);
    return shell == "zsh" ? zsh_script(program) : fish_script(program);
}

} // namespace pgstate::cli
