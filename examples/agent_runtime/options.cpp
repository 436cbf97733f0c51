#include "options.hpp"

#include <boost/program_options.hpp>

#include <iostream>

namespace po = boost::program_options;

namespace demo {
namespace {

// Read as a signed number: lexical_cast would turn "-1" into a very large unsigned one.
template <class Number>
Number in_range(const po::variables_map& given, const char* name, std::int64_t low, std::int64_t high) {
    const auto value = given[name].as<std::int64_t>();
    if (value < low || value > high)
        throw usage_error("--" + std::string(name) + " must be from " + std::to_string(low) + " to " +
                          std::to_string(high));
    return static_cast<Number>(value);
}

po::options_description describe(options& chosen) {
    const auto number = [](std::int64_t preset) {
        return po::value<std::int64_t>()->default_value(preset)->value_name("N");
    };
    po::options_description all("Options", 100);
    auto add = all.add_options();
    add("help,h", "show this and exit");
    add("database", po::value(&chosen.database_url)->value_name("URL"),
        "where PostgreSQL is; kill_and_resume.sh starts a private one");
    add("table", po::value(&chosen.table)->default_value("pgstate_demo")->value_name("NAME"),
        "the table that holds the states, created if it is missing");
    add("agents", number(64), "agents that work at the same time");
    add("sessions", number(4), "sessions of each agent");
    add("threads", number(2), "threads that run the agents");
    add("pace", number(0), "milliseconds that a turn takes besides its save, on average");
    add("window", number(0), "load the last N messages of a session, and save what is new; 0: all of them");
    add("rows", po::bool_switch(&chosen.rows),
        "for long sessions: keep each message in a row of its own, so that a turn costs what the turn is");
    add("kill-after", number(0), "after N acknowledged turns, end this process with SIGKILL; 0: never");
    add("ack-file", po::value(&chosen.ack_file)->default_value("agent_runtime.acks")->value_name("FILE"),
        "where acknowledged turns are noted, outside the database");
    add("transcripts",
        po::value(&chosen.transcripts)
            ->default_value(AGENT_RUNTIME_TRANSCRIPTS, "those beside the source")
            ->value_name("FILE"),
        "the conversations, one JSON object a line");
    add("reset", po::bool_switch(&chosen.reset), "erase the previous run's sessions and ack file first");
    add("clean", po::bool_switch(&chosen.clean), "erase them and exit");
    return all;
}

} // namespace

std::optional<options> parse_options(int argc, const char* const* argv) {
    options chosen;
    const po::options_description all = describe(chosen);
    po::variables_map given;
    try {
        const po::positional_options_description none;
        po::store(po::command_line_parser(argc, argv).options(all).positional(none).run(), given);
        po::notify(given);
    } catch (const po::error& e) {
        throw usage_error(e.what());
    }
    if (given.count("help")) {
        std::cout
            << "Replays conversations as agents that keep their state in PostgreSQL, and proves that none of\n"
               "it is lost or repeated, also when the process is killed and started again.\n\n"
            << all;
        return std::nullopt;
    }
    chosen.agents = in_range<unsigned>(given, "agents", 1, 100'000);
    chosen.sessions = in_range<unsigned>(given, "sessions", 1, 10'000);
    chosen.threads = in_range<unsigned>(given, "threads", 1, 1'000);
    chosen.window = in_range<std::uint64_t>(given, "window", 0, 1'000'000'000);
    chosen.kill_after = in_range<std::uint64_t>(given, "kill-after", 0, 1'000'000'000);
    chosen.pace = std::chrono::milliseconds(in_range<std::int64_t>(given, "pace", 0, 60'000));
    if (chosen.database_url.empty()) throw usage_error("say --database URL");
    return chosen;
}

} // namespace demo
