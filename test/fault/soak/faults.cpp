#include "fault/soak/faults.hpp"

#include "fault/processes.hpp"

#include <pqxx/connection>
#include <pqxx/except>
#include <pqxx/nontransaction>
#include <pqxx/result>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <thread>
#include <utility>

namespace pgstate_test {

using namespace std::chrono_literals;

std::string tormentor::next() {
    static const std::vector<std::pair<std::string, void (tormentor::*)()>> all{
        {"cut", &tormentor::cut},
        {"reset", &tormentor::reset},
        {"stall", &tormentor::stall},
        {"black hole", &tormentor::black_hole},
        {"refusal", &tormentor::refuse},
        {"terminated backends", &tormentor::terminate_backends},
        {"killed backend", &tormentor::kill_backend},
        {"quit postmaster", &tormentor::quit_postmaster},
        {"killed postmaster", &tormentor::kill_postmaster},
        {"stopped processes", &tormentor::stop_processes},
        {"immediate restart", &tormentor::restart}};
    // All of them in turn, in another order each time, so that a short run has had most.
    if (order_.empty()) {
        for (std::size_t i = 0; i < all.size(); ++i)
            order_.push_back(i);
        std::ranges::shuffle(order_, random_);
    }
    const auto& [name, inflict] = all[order_.back()];
    order_.pop_back();
    if (verbose_) std::cout << "fault: " << name << std::endl;
    (this->*inflict)();
    return name;
}

std::uint64_t tormentor::any(std::uint64_t from, std::uint64_t to) {
    return std::uniform_int_distribution<std::uint64_t>(from, to)(random_);
}

void tormentor::last(std::uint64_t from_ms, std::uint64_t to_ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(any(from_ms, to_ms)));
}

fault_proxy::direction tormentor::either_direction() {
    return any(0, 1) == 0 ? fault_proxy::direction::to_server : fault_proxy::direction::to_client;
}

fault_proxy::ending tormentor::either_ending() {
    return any(0, 1) == 0 ? fault_proxy::ending::fin : fault_proxy::ending::rst;
}

void tormentor::cut() {
    for (auto count = any(1, 8); count > 0; --count) {
        proxy_.cut(either_direction(), any(0, 5000), either_ending());
        last(1, 50);
    }
    proxy_.disarm();
}

void tormentor::reset() {
    proxy_.reset_all(either_ending());
}
void tormentor::stall() {
    proxy_.set(either_direction(), {.bytes = fault_proxy::flow::stall});
    last(100, 1500);
    proxy_.calm();
}

void tormentor::black_hole() {
    proxy_.accept(fault_proxy::arrivals::black_hole);
    if (any(0, 1) == 0)
        proxy_.reset_all();
    else
        proxy_.set(either_direction(), {.bytes = fault_proxy::flow::swallow});
    last(500, 2500);
    proxy_.calm();
}

void tormentor::refuse() {
    proxy_.accept(fault_proxy::arrivals::refuse);
    proxy_.reset_all(either_ending());
    last(200, 1500);
    proxy_.calm();
}

void tormentor::terminate_backends() {
    pqxx::connection direct(server_.connection_string());
    pqxx::nontransaction(direct).exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE " +
                                      std::string(soaked_processes));
}

void tormentor::kill_backend() {
    std::vector<int> backends;
    {
        pqxx::connection direct(server_.connection_string());
        pqxx::nontransaction sql(direct);
        for (const auto& row : sql.exec("SELECT pid FROM pg_stat_activity WHERE " +
                                        std::string(soaked_processes) + " ORDER BY pid"))
            backends.push_back(row[0].as<int>());
    }
    if (backends.empty()) return;
    ::kill(backends[any(0, backends.size() - 1)], SIGKILL);
    wait_for_server();
}

void tormentor::quit_postmaster() {
    ::kill(server_.pid(), SIGQUIT);
    begin_anew();
}

void tormentor::kill_postmaster() {
    ::kill(server_.pid(), SIGKILL);
    begin_anew();
}

void tormentor::begin_anew() {
    server_.stop(pgstate::embedded_server::shutdown::immediate); // waits for the end of it
    last(0, 500);
    server_.start();
}

void tormentor::stop_processes() {
    const stopped_server still(server_);
    last(200, 2000);
}

void tormentor::restart() {
    server_.stop(pgstate::embedded_server::shutdown::immediate);
    server_.start();
}

void tormentor::wait_for_server() {
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    for (;;) {
        try {
            const pqxx::connection probe(server_.connection_string());
            return;
        } catch (const pqxx::failure&) {
            if (std::chrono::steady_clock::now() > deadline) throw;
            std::this_thread::sleep_for(5ms);
        }
    }
}

} // namespace pgstate_test
