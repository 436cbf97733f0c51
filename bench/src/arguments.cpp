#include "arguments.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <string_view>
#include <system_error>
#include <utility>

namespace po = boost::program_options;

namespace bench {
namespace {

constexpr const char* introduction =
    "Runs N callers against one PostgreSQL, each starting an operation when its previous one has ended, and reports\n"
    "throughput and latencies. Each operation is for a random agent and session of a table that is filled before.\n"
    "\n"
    "Operations:\n"
    "  load    loads a state\n"
    "  save    saves a state\n"
    "  list    the first page (up to 100) of an agent's sessions\n"
    "  erase   erases a state, then saves it back: two operations\n"
    "  append  adds a message to a state's history, which grows\n"
    "  rewrite what append spares: loads, adds a message, and saves with if_unchanged, again after a conflict; one\n"
    "          operation. Only the last four messages are kept, so that the size is stable\n"
    "  mixed   80% load, 15% save, 4% list, 1% erase\n"
    "\n"
    "Modes:\n"
    "  batched       the store with its defaults\n"
    "  single        the store with one statement for each operation\n"
    "  pqxx-threads  without the store: a thread and a blocking connection of libpqxx for each of --conns, prepared\n"
    "                statements, Boost.JSON. The URL must be one that libpq takes\n"
    "\n"
    "With --long, sessions with long histories, in documents and in rows by turns, a line of JSON for each measurement:\n"
    "  append, load, save, build, checkpoint         one caller\n"
    "  callers-document, callers-rows, callers-ids   --callers, each appends to a session of its own of 1,000 messages;\n"
    "                                                with ids: each message has one\n"
    "  callers-prepare                               only the table in rows of callers-rows, for another program\n"
    "It makes the tables <table>_document and <table>_rows anew; by default bench_long_document and bench_long_rows.\n"
    "\n"
    "The table belongs to this program: when its rows are not those that the arguments ask for, it is emptied and\n"
    "filled again. Other work in the same database counts as statements.\n";

template <class Value, std::size_t N>
Value chosen(const po::variables_map& given, const char* name,
             const std::array<std::pair<std::string_view, Value>, N>& choices) {
    const auto& text = given[name].as<std::string>();
    std::string all;
    for (std::size_t i = 0; i < N; ++i) {
        if (choices[i].first == text) return choices[i].second;
        if (i > 0) all += i + 1 == N ? " or " : ", ";
        all += choices[i].first;
    }
    throw usage_error("--" + std::string(name) + " must be " + all + ", not '" + text + "'");
}

// Numbers are read here and not by Boost, so that every refusal names the range.
template <class Number>
std::optional<Number> number_in(const po::variables_map& given, const char* name) {
    const auto& text = given[name].as<std::string>();
    Number value{};
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (failure != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

[[noreturn]] void refuse(const char* name, const std::string& range) {
    throw usage_error("--" + std::string(name) + " must be " + range);
}

template <class Number>
Number in_range(const po::variables_map& given, const char* name, std::int64_t low, std::int64_t high) {
    const auto value = number_in<std::int64_t>(given, name);
    if (!value || *value < low || *value > high)
        refuse(name, "from " + std::to_string(low) + " to " + std::to_string(high));
    return static_cast<Number>(*value);
}

enum class zero { allowed, refused };

seconds time_in_range(const po::variables_map& given, const char* name, zero smallest) {
    const auto value = number_in<double>(given, name);
    if (!value || !(*value >= 0 && *value <= 3600) || (*value == 0 && smallest == zero::refused))
        refuse(name, smallest == zero::allowed ? "from 0 to 3600" : "more than 0, up to 3600");
    return seconds(*value);
}

po::options_description describe(arguments& a) {
    const auto value = [](const char* kind) {
        return [kind](const std::string& preset) {
            return po::value<std::string>()->default_value(preset)->value_name(kind);
        };
    };
    const auto name = value("NAME");
    const auto number = value("N");
    const auto time = value("S");
    const pgstate::batch_config presets;
    po::options_description all("Options", 110);
    auto add = all.add_options();
    add("help,h", "show this and exit");
    add("op", name("load"), "load, save, list, erase, append, rewrite or mixed");
    add("callers", number("64"), "operations under way at once");
    add("seconds", time("5"), "how long to measure");
    add("warmup", time("0.5"), "how long to run before");
    add("agents", number("1000"), "agents in the table");
    add("sessions", number("100"), "sessions of each agent");
    add("state-bytes", number("600"), "about the size of a state's document");
    add("conns", number("4"), "connections");
    add("threads", number("1"), "threads that run the callers");
    add("mode", name("batched"), "batched, single or pqxx-threads");
    add("token", name("awaitable"), "awaitable, deferred or callback: how callers wait");
    add("indexes", name("standard"), "standard or lean: the table's indexes");
    add("telemetry", name("none"),
        "none, spdlog, prometheus, spdlog+prometheus, otel or all: what the store tells what it does; with other than "
        "none, runs with and without it follow each other, and the ratio of the two is printed");
    add("max-batch", number(std::to_string(presets.max_operations)), "batch.max_operations");
    add("max-in-flight", number(std::to_string(presets.max_in_flight)), "batch.max_in_flight");
    add("url", po::value(&a.url)->value_name("URL"),
        "where PostgreSQL is; by default DATABASE_URL, and without that a private server");
    add("table", po::value(&a.table)->value_name("NAME"),
        "the table; by default bench_states, or bench_states_lean with lean indexes");
    add("seed", number("1"), "of the random choices");
    add("fill-only", po::bool_switch(&a.fill_only), "prepare the table and exit");
    add("long", po::value(&a.long_part)->value_name("PART"),
        "sessions with long histories, in place of --op");
    add("format", name("table"), "json (one object on one line) or table");
    return all;
}

void read_choices(const po::variables_map& given, arguments& a) {
    using namespace std::string_view_literals;
    a.op = chosen<operation, 7>(given, "op",
                                {{{"load", operation::load},
                                  {"save", operation::save},
                                  {"list", operation::list},
                                  {"erase", operation::erase},
                                  {"append", operation::append},
                                  {"rewrite", operation::rewrite},
                                  {"mixed", operation::mixed}}});
    a.mode = chosen<run_mode, 3>(given, "mode",
                                 {{{"batched", run_mode::batched},
                                   {"single", run_mode::single},
                                   {"pqxx-threads", run_mode::pqxx_threads}}});
    a.token = chosen<token_kind, 3>(given, "token",
                                    {{{"awaitable", token_kind::awaitable},
                                      {"deferred", token_kind::deferred},
                                      {"callback", token_kind::callback}}});
    a.indexes = chosen<pgstate::index_mode, 2>(
        given, "indexes",
        {{{"standard", pgstate::index_mode::standard}, {"lean", pgstate::index_mode::lean}}});
    a.format = chosen<output_format, 2>(given, "format",
                                        {{{"json", output_format::json}, {"table", output_format::table}}});
    a.telemetry = chosen<telemetry_kind, 6>(given, "telemetry",
                                            {{{"none", telemetry_kind::none},
                                              {"spdlog", telemetry_kind::spdlog},
                                              {"prometheus", telemetry_kind::prometheus},
                                              {"spdlog+prometheus", telemetry_kind::spdlog_prometheus},
                                              {"otel", telemetry_kind::otel},
                                              {"all", telemetry_kind::all}}});
    a.telemetry_name = given["telemetry"].as<std::string>();
    if (a.telemetry != telemetry_kind::none && a.mode == run_mode::pqxx_threads)
        throw usage_error("--telemetry is of the store: not with --mode pqxx-threads");
    if (a.op == operation::append && a.mode == run_mode::pqxx_threads)
        throw usage_error("--op append is of the store: not with --mode pqxx-threads");
    constexpr std::array long_choices = {"append",       "load",        "save",
                                         "build",        "checkpoint",  "callers-document",
                                         "callers-rows", "callers-ids", "callers-prepare"};
    if (!a.long_part.empty() &&
        std::find(long_choices.begin(), long_choices.end(), a.long_part) == long_choices.end())
        throw usage_error(
            "--long must be append, load, save, build, checkpoint, callers-document, callers-rows, callers-ids or "
            "callers-prepare, not '" +
            a.long_part + "'");
    if (!a.long_part.empty() && given["threads"].as<std::string>() != "1")
        throw usage_error("--long takes one thread: not with --threads");
    a.op_name = given["op"].as<std::string>();
    a.mode_name = given["mode"].as<std::string>();
    a.token_name = given["token"].as<std::string>();
    a.indexes_name = given["indexes"].as<std::string>();
}

void read_numbers(const po::variables_map& given, arguments& a) {
    a.callers = in_range<unsigned>(given, "callers", 1, 1'000'000);
    a.agents = in_range<unsigned>(given, "agents", 1, 10'000'000);
    a.sessions = in_range<unsigned>(given, "sessions", 1, 10'000'000);
    if (std::uint64_t{a.agents} * a.sessions > 10'000'000)
        throw usage_error("--agents times --sessions must be at most 10000000");
    a.state_bytes = in_range<std::size_t>(given, "state-bytes", 400, 64 << 20);
    a.conns = in_range<std::size_t>(given, "conns", 1, 1000);
    a.threads = in_range<unsigned>(given, "threads", 1, 1000);
    a.seed = in_range<std::uint64_t>(given, "seed", 0, INT64_MAX);
    a.batch.max_operations = in_range<std::size_t>(given, "max-batch", 1, 10'000);
    a.batch.max_in_flight = in_range<std::size_t>(given, "max-in-flight", 1, 16);
    a.duration = time_in_range(given, "seconds", zero::refused);
    a.warmup = time_in_range(given, "warmup", zero::allowed);
}

// A plain name only, so that it means the same quoted and unquoted.
void read_table(arguments& a) {
    if (a.table.empty() && a.long_part.empty())
        a.table = a.indexes == pgstate::index_mode::lean ? "bench_states_lean" : "bench_states";
    const bool plain =
        a.table.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
    if (!plain || a.table.size() > 63)
        throw usage_error("--table must be 1 to 63 of the characters a-z, 0-9 and _");
}

} // namespace

std::optional<arguments> parse_arguments(int argc, const char* const* argv) {
    arguments a;
    const po::options_description all = describe(a);
    po::variables_map given;
    try {
        const po::positional_options_description none;
        po::store(po::command_line_parser(argc, argv).options(all).positional(none).run(), given);
        po::notify(given);
    } catch (const po::error& e) {
        throw usage_error(e.what());
    }
    if (given.count("help")) {
        std::cout << introduction << '\n' << all;
        return std::nullopt;
    }
    read_choices(given, a);
    read_numbers(given, a);
    read_table(a);
    a.batch.enabled = a.mode != run_mode::single;
    const char* url = std::getenv("DATABASE_URL");
    if (a.url.empty() && url) a.url = url;
    return a;
}

} // namespace bench
