#ifndef PGSTATE_TEST_ADAPTERS_SCRAPE_HPP
#define PGSTATE_TEST_ADAPTERS_SCRAPE_HPP

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>
#include <map>
#include <sstream>
#include <string>

namespace pgstate_test {

/// The samples of a text exposition: what stands before the value -> the value.
using samples = std::map<std::string, double>;

inline samples parse_exposition(const std::string& text) {
    samples result;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        if (line.empty() || line.front() == '#') continue;
        const auto space = line.rfind(' ');
        REQUIRE(space != std::string::npos);
        REQUIRE(result.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second);
    }
    return result;
}

/// The body of what an HTTP server on this machine answers.
inline std::string http_get(int port, const std::string& path) {
    boost::asio::io_context io;
    boost::asio::ip::tcp::socket socket(io);
    socket.connect({boost::asio::ip::make_address("127.0.0.1"), static_cast<std::uint16_t>(port)});
    boost::asio::write(socket, boost::asio::buffer("GET " + path + " HTTP/1.0\r\n\r\n"));
    std::string answer;
    boost::system::error_code ended;
    boost::asio::read(socket, boost::asio::dynamic_buffer(answer), ended);
    REQUIRE(ended == boost::asio::error::eof);
    REQUIRE(answer.starts_with("HTTP/1.1 200"));
    return answer.substr(answer.find("\r\n\r\n") + 4);
}

} // namespace pgstate_test

#endif
