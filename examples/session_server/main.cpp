// The sessions of agents over HTTP, as a program of its own that keeps them with pgstate. README.md says what is where.
#include "options.hpp"
#include "program.hpp"

#include <exception>
#include <iostream>

int main(int argc, char** argv) {
    try {
        const auto said = session_server::parse(argc, argv);
        if (said.exit_code) return *said.exit_code;
        session_server::program program(said.chosen);
        if (said.chosen.print_routes) {
            program.print_routes();
            return 0;
        }
        return program.run();
    } catch (const std::exception& e) {
        std::cerr << "session_server: " << e.what() << '\n';
        return 1;
    }
}
