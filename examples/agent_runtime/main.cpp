// Replays conversations as agents that keep their state in PostgreSQL. The process may be killed at any time: started
// again, it goes on where it was, and proves with the ack file that no acknowledged turn was lost and none was repeated.
#include "options.hpp"
#include "program.hpp"

#include <boost/asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <thread>
#include <vector>

int main(int argc, char** argv) {
    try {
        const auto chosen = demo::parse_options(argc, argv);
        if (!chosen) return 0;
        boost::asio::io_context io(static_cast<int>(chosen->threads));
        demo::program program(io, *chosen);
        program.start();
        {
            std::vector<std::jthread> others;
            for (unsigned i = 1; i < chosen->threads; ++i)
                others.emplace_back([&io] { io.run(); });
            io.run();
        }
        return program.exit_code();
    } catch (const demo::usage_error& e) {
        std::cerr << "agent_runtime: " << e.what() << "; see --help\n";
        return 2;
    } catch (const std::exception& e) {
        std::cerr << "agent_runtime: " << e.what() << '\n';
        return 1;
    }
}
