// Must not compile: see CMakeLists.txt in the folder above.

#include "pgstate/state_store.hpp"

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/use_future.hpp>

void refused(pgstate::state_store& store, boost::system::error_code& code) {
    namespace asio = boost::asio;
    store.load("a", "s",
               asio::bind_executor(asio::system_executor(), asio::redirect_error(asio::use_future, code)));
}
