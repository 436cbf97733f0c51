#include "arguments.hpp"

#include "command.hpp"
#include "completion.hpp"
#include "failure.hpp"
#include "text.hpp"
#include <pgstate/version.hpp>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#if __has_include(<CLI/ExtraValidators.hpp>) // of CLI11 2.6 and newer
#    include <CLI/ExtraValidators.hpp>
#endif

#include <array>
#include <string_view>

namespace pgstate::cli {
namespace {

constexpr std::string_view exit_codes =
    "Exit codes: 0 done, 1 failed (doctor: there is a problem), 2 usage, 3 no such state, 4 conflict,\n"
    "5 server not reached or not in time, 6 it is not known whether a write was applied, 130 interrupted.\n";

constexpr std::string_view examples = R"(
Examples:
  export DATABASE_URL=postgres://user@host/db    (the password in ~/.pgpass or PGPASSWORD)
  pgstate migrate
  pgstate doctor
  echo '{"data": {"step": 1}}' | pgstate put agent-1 session-1
  pgstate get agent-1 session-1 --json | sed 's/"step":1/"step":2/' | pgstate put agent-1 session-1
  pgstate ls
  pgstate ls agent-1 --json
  pgstate export -o states.ndjson
  pgstate import states.ndjson --on-conflict skip
  pgstate rm agent-1 session-1
)";

/// The options of the program, and then of one command after the other.
class command_options {
public:
    command_options(CLI::App& all, arguments& into) : all_(all), into_(into), app_(&all) {}

    /// \param what  null: there is nothing to run
    void add(const char* name, const char* about, const command* what, const std::string& more = {}) {
        app_ = all_.add_subcommand(name, about);
        app_->callback([this, what] { into_.chosen = what; });
        if (!more.empty()) app_->footer("\n" + more);
    }

    command_options& agent(bool required = true) {
        app_->add_option("AGENT", into_.agent, "the agent's id")->required(required);
        return *this;
    }
    command_options& session(bool required = true) {
        app_->add_option("SESSION", into_.session, "the session's id")->required(required);
        return *this;
    }
    command_options& if_version() {
        app_->add_option("--if-version", into_.if_version,
                         "only over this version (put: 0: only if there is none)");
        return *this;
    }
    command_options& skip_unreadable() {
        app_->add_flag("--skip-unreadable", into_.skip_unreadable,
                       "leave out the states that cannot be read, and name each on standard error");
        return *this;
    }
    command_options& schema() {
        auto& schema = into_.settings.schema;
        app_->add_option_function<std::string>(
                "--indexes",
                [&schema](const std::string& mode) {
                    schema.indexes = mode == "lean" ? index_mode::lean : index_mode::standard;
                },
                "as config.schema.indexes of the programs that use the table")
            ->check(CLI::IsMember({"standard", "lean"}));
        app_->add_flag("--jsonb-index", schema.jsonb_index,
                       "also the index over documents (config.schema.jsonb_index)");
        app_->add_flag(
            "--guard", schema.guard,
            "also the trigger that gives rows which others write a new version (config.schema.guard)");
        app_->add_flag("--checkpoints", schema.checkpoints,
                       "also the table for checkpoints (config.schema.checkpoints)");
        app_->add_option_function<std::string>(
                "--history",
                [this](const std::string& layout) {
                    into_.history = layout == "rows" ? history_layout::rows : history_layout::document;
                    into_.settings.schema.history = *into_.history;
                },
                "as config.schema.history of the programs that use the table")
            ->check(CLI::IsMember({"document", "rows"}));
        app_->add_flag_callback(
            "--sweep", [this] { into_.settings.sweep.period = std::chrono::hours(1); },
            "also the index for sweeping (config.sweep.period)");
        return *this;
    }

    /// \param into  a number of milliseconds, optional or not
    template <class Duration>
    command_options& duration(const char* name, Duration& into, const char* about) {
        const auto read = [&into, name](const std::string& text) {
            const auto value = parse_duration(text);
            if (!value) throw CLI::ValidationError(name, "is no duration; write 500ms, 30s, 5m, 12h or 30d");
            into = *value;
        };
        app_->add_option_function<std::string>(name, read, about)->type_name("DURATION");
        return *this;
    }

    CLI::App* operator->() const noexcept { return app_; }

private:
    CLI::App& all_;
    arguments& into_;
    CLI::App* app_;
};

void add_global_options(command_options& on, arguments& into) {
    on->add_option("--database-url", into.settings.connection_string,
                   "where PostgreSQL is, as libpq takes it")
        ->envname("DATABASE_URL")
        ->type_name("URL");
    on->add_option("--table", into.settings.table_name,
                   "the table, with or without its schema (agent_states)")
        ->type_name("NAME");
    on.duration("--timeout", into.settings.operation_timeout, "how long an operation may take (30s)");
    on->add_flag("--json", into.json, "JSON on standard output; see the command's help");
    on->add_option_function<std::string>(
          "--color",
          [&into](const std::string& when) {
              into.color = when == "always"  ? color_mode::always
                           : when == "never" ? color_mode::never
                                             : color_mode::automatic;
          },
          "colours: auto is on a terminal, unless NO_COLOR is set")
        ->check(CLI::IsMember({"auto", "always", "never"}));
    on->set_version_flag("--version", "pgstate " PGSTATE_VERSION_STRING);
}

void add_commands(command_options& on, arguments& into) {
    static constexpr command ls_command{ls}, get_command{get}, diff_command{diff}, put_command{put},
        rm_command{rm}, tail_command{tail, true}, migrate_command{migrate}, schema_command{schema},
        doctor_command{doctor}, export_command{export_states}, import_command{import_states},
        checkpoint_command{checkpoint}, checkpoints_command{checkpoints}, restore_command{restore},
        fork_command{fork}, prune_command{prune};
    on.add(
        "ls", "lists agents, or the sessions of one", &ls_command,
        "Agents in the order of their ids with their number of sessions; sessions most recently updated first.\n"
        "A table on a terminal, tab-separated without a heading elsewhere (agent, sessions, updated; session,\n"
        "version, created, updated); --json: one object a line.\n");
    on.agent(false);
    on->add_option("--limit", into.limit, "no more than so many")->check(CLI::Range(1, 1'000'000'000));

    on.add(
        "get", "prints a state", &get_command,
        "Indented on a terminal; one compact line elsewhere and with --json, which put and import take.\n");
    on.agent().session();
    on->add_option("--at", into.at, "as it was at this version, the present one or that of a checkpoint");

    on.add(
        "put", "saves a state", &put_command,
        "The document is as get prints it, or has some of data, context and history alone. The arguments say\n"
        "which state it becomes; keys, version, created_at and updated_at in it do not count. It is stored to the\n"
        "letter, if it can be read as a state. Prints the new version; --json: an object.\n");
    on.agent().session();
    on->add_option("FILE", into.file, "the document; none or -: standard input");
    on.if_version().duration("--ttl", into.ttl,
                             "how long it lives, as 90s, 12h, 30d; without: as long as the document says");

    on.add("rm", "erases a state, or all of an agent", &rm_command, "--json: {\"erased\": number}.\n");
    on.agent().session(false);
    on.if_version();
    on->add_flag("--all", into.all, "every session of the agent");
    on->add_flag("--yes", into.yes, "do not ask");

    on.add(
        "checkpoint", "keeps a state as it is", &checkpoint_command,
        "Prints its version, which names the checkpoint; --json: an object. Needs 'migrate --checkpoints'.\n");
    on.agent().session();
    on->add_option("--label", into.label, "what it is for");

    on.add("checkpoints", "lists the checkpoints of a state, the newest first", &checkpoints_command,
           "Columns: version, messages, created, label; --json: one object a line.\n");
    on.agent().session();
    on->add_option("--limit", into.limit, "no more than so many")->check(CLI::Range(1, 1'000'000'000));

    on.add("restore", "puts a state back to what it was at a version", &restore_command,
           "A save like any other: prints the new version. Checkpoints stay.\n");
    on.agent().session();
    on->add_option("VERSION", into.at, "of a checkpoint")->required();
    on.if_version();

    on.add(
        "fork", "copies a state to a new session", &fork_command,
        "The session must not exist yet. Prints the version of the new state, which has no checkpoints.\n");
    on.agent().session();
    on->add_option("NEW_SESSION", into.new_session, "the new session's id")->required();
    on->add_option("--at", into.at, "as it was at this version, of which there is a checkpoint");
    on.duration("--ttl", into.ttl, "how long it lives, as 90s, 12h, 30d");

    on.add(
        "diff", "prints what changed between two versions", &diff_command,
        "The operations of a JSON Patch (RFC 6902) that make the first version into the second: one a line on a\n"
        "terminal; an array in one line elsewhere and with --json. 1 and 1.0 are the same number here.\n");
    on.agent().session();
    on->add_option("FROM", into.at, "a version of which there is a checkpoint")->required();
    on->add_option("TO", into.until, "another one; none: the state as it is now");

    on.add(
        "prune", "removes checkpoints of a state", &prune_command,
        "Each that is neither among the newest nor young. Prints how many; --json: {\"pruned\": number}.\n");
    on.agent().session();
    on->add_option("--keep", into.keep, "number of the newest that stay");
    on.duration("--older-than", into.older_than, "younger ones stay");

    on.add(
        "tail", "follows changes until it is interrupted", &tail_command,
        "Prints each version that a look at the table finds, once: time, agent, session, version; --json: one\n"
        "object a line. Of several changes between two looks the last one is seen. Erased states are not seen, and\n"
        "neither are those that an import brings with their old times or a transaction of more than 10 s wrote.\n"
        "Documents are not read. SIGINT ends it with exit code 0.\n");
    on.agent(false);
    on.duration("--interval", into.interval, "the pause between two looks (500ms)").skip_unreadable();

    on.add(
        "migrate", "makes the table, or brings it up to date", &migrate_command,
        "Prints the statements that it runs.\n\n"
        "--history rows or document also moves the histories that are there, while programs use the table: a batch of\n"
        "states at a time, each in a transaction of its own. Interrupted, it goes on when it is run again. Stores\n"
        "that were opened with 'document' before the table had histories in rows must be opened again first, as they\n"
        "do not know them; so must stores with 'rows' before '--history document', as they begin others. Versions and\n"
        "times stay; in a table with the guard each state gets a new version. Expired states are moved too.\n"
        "A checkpoint's history moves to the document along with that of its state; none moves to rows.\n"
        "What cannot be moved stays as it is, is named on standard error, and makes the exit code 1.\n"
        "--json: \"history\" has layout, states, messages, checkpoints, left and the first 100 of left_states.\n");
    on->add_flag("--dry-run", into.dry_run, "print them only");
    on->add_option("--batch", into.batch, "with --history: no more states than this in a transaction (500)")
        ->check(CLI::Range(1, 1'000));
    on.schema();

    on.add("schema", "prints the statements for a table made by hand", &schema_command);
    on.schema();

    on.add(
        "doctor", "checks server, privileges, table and settings", &doctor_command,
        "Each finding is ok, skipped, advice or problem, with what to do about it; exit code 1 if there is a problem.\n"
        "--json: an array of {check, status, found, what_to_do}.\n");
    on->add_flag(
        "--mend", into.mend,
        "advance the version's sequence where rows are above it, and delete messages in rows that no state and no"
        " checkpoint has");
    on.schema();

    on.add(
        "export", "writes states as JSON, one a line", &export_command,
        "In the order of their keys, as get --json prints them; states that change meanwhile are written as they\n"
        "were found. They go to FILE.part, which takes FILE's place at the end: until then FILE stays as it is.\n"
        "Each line is whole: what is interrupted goes on with --resume after the last one. A state that import would\n"
        "refuse ends the export, unless it is to be left out.\n");
    on.agent(false);
    on->add_option("-o,--output", into.file, "the file; none or -: standard output");
    on->add_flag("--resume", into.resume, "go on after the last complete line of FILE.part, or of FILE");
    on.skip_unreadable();

    on.add(
        "import", "reads what export wrote", &import_command,
        "Keys, times and expiry are kept; each state gets a new version, as versions belong to their table.\n"
        "A line that could not be loaded again is refused, with its number and why. Of a file, nothing is imported then;\n"
        "of a pipe, no more than the lines 500 or 4 MB before it.\n"
        "A state that is there unchanged is passed over, so an interrupted import goes on when it is run again.\n"
        "One that differs ends the import (fail), stays (skip) or is replaced (replace).\n"
        "--json: {\"states\": number, \"written\": number}.\n");
    on->add_option("FILE", into.file, "the file; none or -: standard input");
    on->add_option_function<std::string>(
          "--on-conflict",
          [&into](const std::string& what) {
              into.conflict = what == "skip"      ? on_conflict::skip
                              : what == "replace" ? on_conflict::replace
                                                  : on_conflict::fail;
          },
          "when a state is there and differs (fail)")
        ->check(CLI::IsMember({"fail", "skip", "replace"}));

    on.add("completion", "prints a completion script for a shell", nullptr,
           "source <(pgstate completion bash)\n");
    on->add_option("SHELL", into.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}));
}

/// What CLI11 says, unless it could quote a connection string.
std::string refusal(const CLI::ParseError& e) {
    if (dynamic_cast<const CLI::ExtrasError*>(&e))
        return "there are arguments that the command does not take";
    const std::string what = e.what();
    for (const auto* part : {"://", "password", "host="})
        if (what.find(part) != what.npos) return "the arguments cannot be read";
    return what;
}

void check_combination(const arguments& given) {
    const auto refuse_if = [](bool wrong, const char* why) {
        if (wrong) throw failure(exit_code::usage, why);
    };
    if (given.chosen->run == rm) {
        refuse_if(given.all && (!given.session.empty() || given.if_version),
                  "rm: --all goes with neither SESSION nor --if-version");
        refuse_if(!given.all && given.session.empty(), "rm: SESSION is missing; --all erases every session");
    }
    refuse_if(given.chosen->run == prune && !given.keep && !given.older_than,
              "prune: give --keep or --older-than; --keep 0 removes all");
    refuse_if(given.resume && (given.file.empty() || given.file == "-"),
              "export: --resume needs --output FILE");
    refuse_if(given.batch && !given.history, "migrate: --batch goes with --history");
    refuse_if(given.chosen->run != schema && given.settings.connection_string.empty(),
              "set DATABASE_URL, or give --database-url");
    refuse_if(given.chosen->run == tail && given.interval.count() < 10,
              "tail: --interval must be 10ms or more");
}

} // namespace

std::optional<arguments> parse_arguments(int argc, const char* const* argv) {
    arguments given;
    given.settings.schema.migrate = migrate_mode::off;
    given.settings.tuning.statements = statement_mode::unnamed; // for any pooler; few are sent twice
    CLI::App app("Looks after the states that AI agents keep in PostgreSQL.", "pgstate");
    app.require_subcommand(1);
    app.fallthrough();
    app.footer(std::string(examples) + "\n" + std::string(exit_codes));
    command_options options(app, given);
    add_global_options(options, given);
    add_commands(options, given);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        if (e.get_exit_code() == 0) {
            app.exit(e); // help or version, on standard output
            return std::nullopt;
        }
        throw failure(exit_code::usage, refusal(e) + "; see 'pgstate --help'");
    }
    if (!given.shell.empty()) {
        write_out(completion_script(app, given.shell));
        flush_out();
        return std::nullopt;
    }
    check_combination(given);
    return given;
}

} // namespace pgstate::cli
