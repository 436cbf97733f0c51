#include "embedded/free_port.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <boost/system/system_error.hpp>

#include <fstream>
#include <random>

namespace pgstate::embedded {
namespace {

using tcp = boost::asio::ip::tcp;

// The port that was bound for 0: the kernel's choice.
unsigned short bind_to(unsigned short port, boost::system::error_code& failed) {
    boost::asio::io_context context;
    tcp::socket probe(context);
    const tcp::endpoint wanted(boost::asio::ip::address_v4::loopback(), port);
    if (!probe.open(wanted.protocol(), failed) && !probe.bind(wanted, failed))
        return probe.local_endpoint().port();
    return 0;
}

} // namespace

unsigned short free_port() {
    // Not from the range that outgoing connections get theirs from: while the server is stopped such a
    // connection could take its port, and a client that tries again and again would in the end connect to
    // itself.
    unsigned short first = 15000;
    unsigned short end = 0;
    std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> end;

    boost::system::error_code failed;
    if (end > first + 1000) {
        std::random_device random;
        std::uniform_int_distribution<unsigned short> any(first, static_cast<unsigned short>(end - 1));
        for (int attempt = 0; attempt < 100; ++attempt)
            if (const auto port = bind_to(any(random), failed)) return port;
    }
    if (const auto port = bind_to(0, failed)) return port;
    throw boost::system::system_error(failed, "no free port on 127.0.0.1");
}

} // namespace pgstate::embedded
