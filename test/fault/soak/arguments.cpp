#include "fault/soak/arguments.hpp"

#include <boost/program_options.hpp>

#include <cstdint>
#include <iostream>
#include <optional>
#include <random>

namespace pgstate_test {

namespace po = boost::program_options;

std::optional<soak_arguments> parse_soak_arguments(int argc, const char* const* argv) {
    soak_arguments a;
    a.seed = std::random_device{}();
    po::options_description all("Options");
    auto add = all.add_options();
    add("help,h", "show this and exit");
    add("minutes", po::value(&a.minutes)->default_value(1)->value_name("M"), "how long the clients work");
    add("clients", po::value(&a.clients)->default_value(64)->value_name("N"), "operations under way at once");
    add("seed", po::value(&a.seed)->value_name("S"),
        "of the faults and of what the clients do; by default a random one");
    add("fault-every", po::value(&a.fault_every)->default_value(2)->value_name("S"),
        "seconds between two faults, on average");
    add("erases", po::value(&a.erases)->default_value(4)->value_name("N"),
        "percent of the operations, up to 10, that erase");
    add("guard", po::bool_switch(&a.guard), "the table has the guard: schema.guard");
    add("rows", po::bool_switch(&a.rows),
        "histories are in rows of their own: schema.history; clients then also load parts of histories, add to them and save, "
        "and others, each with a session of its own, use checkpoints");
    add("foreign-writers", po::value(&a.foreign_writers)->default_value(0)->value_name("N"),
        "clients, up to 16, that write some of the keys with the SQL of the Go SDK; with --guard alone, as a version "
        "is used twice without it");
    add("impatient", po::value(&a.impatient)->default_value(0)->value_name("N"),
        "more clients, whose operations have 20 to 200 ms and are cancelled at random times; a session of others' then locks "
        "rows, and the store's server processes are counted all the time");
    add("verbose", po::bool_switch(&a.verbose), "print every fault");
    po::variables_map given;
    const po::positional_options_description none;
    po::store(po::command_line_parser(argc, argv).options(all).positional(none).run(), given);
    po::notify(given);
    if (given.count("help")) {
        std::cout << "Soaks a store in faults, and checks what is left\n\n" << all;
        return std::nullopt;
    }
    if (!(a.minutes > 0 && a.minutes <= 10'000))
        throw po::error("--minutes must be more than 0, up to 10000");
    if (a.clients < 1 || a.clients > 10'000) throw po::error("--clients must be from 1 to 10000");
    if (!(a.fault_every >= 0.1 && a.fault_every <= 3600))
        throw po::error("--fault-every must be from 0.1 to 3600");
    if (a.erases > 10) throw po::error("--erases must be from 0 to 10");
    if (a.foreign_writers > 16) throw po::error("--foreign-writers must be from 0 to 16");
    if (a.foreign_writers > 0 && !a.guard) throw po::error("--foreign-writers needs --guard");
    if (a.impatient > 1'000) throw po::error("--impatient must be from 0 to 1000");
    return a;
}

} // namespace pgstate_test
